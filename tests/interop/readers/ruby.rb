# Calendars on the disk → one JSON line for each: the events as the gem icalendar has them.
require 'icalendar'
require 'json'

def in_utc(moment)
  moment && moment.to_time.utc.strftime('%Y-%m-%dT%H:%M:%SZ')
end

def read(path)
  calendars = File.open(path, encoding: 'UTF-8') { |file| Icalendar::Calendar.parse(file) }
  events = calendars.flat_map(&:events).map do |event|
    texts = %i[uid summary description location url status].to_h { |name| [name, event.send(name)&.to_s] }
    texts.merge(start: in_utc(event.dtstart), end: in_utc(event.dtend), sequence: event.sequence&.to_i)
  end
  calendars.empty? ? { error: 'no calendar in it' } : { events: events }
rescue StandardError => error
  { error: "#{error.class}: #{error.message}" }
end

if ARGV == ['--version']
  puts Icalendar::VERSION
else
  ARGV.each { |path| puts JSON.generate(read(path)) }
end
