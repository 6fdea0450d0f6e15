// Refreshes every subscribed calendar in Thunderbird's own window → what each shows, by its id.
const [done] = arguments;

const { cal } = ChromeUtils.importESModule("resource:///modules/calendar/calUtils.sys.mjs");

function inUtc(moment) {
  const utc = moment.timezone.isFloating ? moment : moment.getInTimezone(cal.dtz.UTC);
  const [, year, month, day, hour, minute, second, zone] = /(....)(..)(..)T(..)(..)(..)(Z?)/.exec(utc.icalString);
  return `${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`;
}

function shown(event) {
  return {
    uid: event.id,
    start: inUtc(event.startDate),
    end: inUtc(event.endDate),
    summary: event.title,
    description: event.descriptionText,
    location: event.getProperty("LOCATION"),
    url: event.getProperty("URL"),
    status: event.status,
    sequence: Number(event.getProperty("SEQUENCE")),
  };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const itemsOf = (calendar) => calendar.getItemsAsArray(Ci.calICalendar.ITEM_FILTER_ALL_ITEMS, 0, null, null);

// A subscription is fetched into memory and from there copied into a cache, which is what is shown. Its own word that it
// has loaded may be about a fetch that had begun before, so what is waited for is that nothing goes on any more.
async function quiet({ mUncachedCalendar: fetched, wrappedJSObject: shown }) {
  while (fetched.wrappedJSObject._isLocked || fetched.wrappedJSObject._queue.length || shown.mPendingSync) {
    await sleep(20);
  }
  for (let tries = 0; tries < 100 && (await itemsOf(fetched)).length !== (await itemsOf(shown)).length; tries++) {
    await sleep(20);
  }
}

async function read(calendar) {
  const errors = [];
  const nothing = () => {};
  const observer = {
    QueryInterface: ChromeUtils.generateQI(["calIObserver"]),
    onStartBatch: nothing,
    onEndBatch: nothing,
    onLoad: nothing,
    onAddItem: nothing,
    onModifyItem: nothing,
    onDeleteItem: nothing,
    onError: (_calendar, code, message) => errors.push(`${message} (${code.toString(16)})`),
    onPropertyChanged: nothing,
    onPropertyDeleting: nothing,
  };
  await quiet(calendar.wrappedJSObject);
  calendar.addObserver(observer);
  calendar.refresh();
  await quiet(calendar.wrappedJSObject);
  calendar.removeObserver(observer);
  return [calendar.id, errors.length ? { error: errors.join("; ") } : { events: (await itemsOf(calendar)).map(shown) }];
}

Promise.all(cal.manager.getCalendars().filter((calendar) => calendar.type === "ics").map(read)).then(
  (readings) => done(Object.fromEntries(readings)),
  (error) => done({ failure: `${error}\n${error.stack}` }),
);
