// `javascript.mjs LIBRARY FILE...` → one JSON line for each file: the events as that library has them.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [library, ...files] = process.argv.slice(2);

const inUtc = (moment) => moment && new Date(moment).toISOString().replace(".000Z", "Z");
const text = (value) => (value && typeof value === "object" && "val" in value ? value.val : value) ?? null;

const libraries = {
  async "ical.js"() {
    const { default: ICAL } = await import("ical.js");
    return (data) => {
      const calendar = new ICAL.Component(ICAL.parse(data));
      return calendar.getAllSubcomponents("vevent").map((component) => {
        const event = new ICAL.Event(component);
        return {
          uid: event.uid,
          start: event.startDate && time(event.startDate),
          end: event.endDate && time(event.endDate),
          summary: event.summary,
          description: event.description,
          location: event.location,
          url: component.getFirstPropertyValue("url"),
          status: component.getFirstPropertyValue("status"),
          sequence: event.sequence,
        };
      });
      function time(moment) {
        return moment.zone === ICAL.Timezone.localTimezone ? moment.toString() : inUtc(moment.toJSDate());
      }
    };
  },

  async "node-ical"() {
    const { default: ical } = await import("node-ical");
    return (data) =>
      Object.values(ical.sync.parseICS(data))
        .filter((component) => component.type === "VEVENT")
        .map((event) => ({
          uid: text(event.uid),
          start: inUtc(event.start),
          end: inUtc(event.end),
          summary: text(event.summary),
          description: text(event.description),
          location: text(event.location),
          url: text(event.url),
          status: text(event.status),
          sequence: Number(event.sequence),
        }));
  },

  async "ts-ics"() {
    const { convertIcsCalendar } = await import("ts-ics");
    return (data) =>
      (convertIcsCalendar(undefined, data).events ?? []).map((event) => ({
        uid: event.uid,
        start: inUtc(event.start.date),
        end: inUtc(event.end?.date),
        summary: event.summary,
        description: event.description ?? null,
        location: event.location ?? null,
        url: event.url ?? null,
        status: event.status ?? null,
        sequence: event.sequence ?? 0, // it has no 0
      }));
  },
};

if (files[0] === "--version") {
  const lock = createRequire(import.meta.url)("../package-lock.json");
  console.log(lock.packages[`node_modules/${library}`].version);
} else {
  const read = await libraries[library]();
  for (const file of files) {
    let reading;
    try {
      reading = { events: read(readFileSync(file, "utf8")) };
    } catch (error) {
      reading = { error: String(error) };
    }
    console.log(JSON.stringify(reading));
  }
}
