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

// A subscription is kept in a cache, which says that it has loaded once what was fetched is in it.
function refreshed(calendar) {
  return new Promise((resolve) => {
    const observer = {
      QueryInterface: ChromeUtils.generateQI(["calIObserver"]),
      onStartBatch() {},
      onEndBatch() {},
      onLoad: () => end(""),
      onAddItem() {},
      onModifyItem() {},
      onDeleteItem() {},
      onError: (_calendar, code, message) => end(`${message} (${code.toString(16)})`),
      onPropertyChanged() {},
      onPropertyDeleting() {},
    };
    function end(error) {
      calendar.removeObserver(observer);
      resolve(error);
    }
    calendar.addObserver(observer);
    calendar.refresh();
  });
}

async function read(calendar) {
  const error = await refreshed(calendar);
  const items = await calendar.getItemsAsArray(Ci.calICalendar.ITEM_FILTER_ALL_ITEMS, 0, null, null);
  return [calendar.id, error ? { error } : { events: items.map(shown) }];
}

Promise.all(cal.manager.getCalendars().filter((calendar) => calendar.type === "ics").map(read)).then(
  (readings) => done(Object.fromEntries(readings)),
  (error) => done({ failure: `${error}\n${error.stack}` }),
);
