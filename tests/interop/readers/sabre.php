<?php
// Calendars on the disk → one JSON line for each: the events as sabre/vobject (ownCloud, Baikal, Nextcloud) has them.
set_error_handler(fn($level) => ($level & E_DEPRECATED) !== 0);  // it was written for an older PHP
require_once 'Sabre/VObject/autoload.php';

function in_utc($property) {
    return $property === null ? null : $property->getDateTime()->setTimezone(new DateTimeZone('UTC'))->format('Y-m-d\TH:i:s\Z');
}

function read(string $path): array {
    $calendar = Sabre\VObject\Reader::read(file_get_contents($path));
    $events = [];
    foreach ($calendar->select('VEVENT') as $event) {
        $shown = ['start' => in_utc($event->DTSTART), 'end' => in_utc($event->DTEND)];
        foreach (['uid', 'summary', 'description', 'location', 'url', 'status'] as $name) {
            // It leaves these two escapes to who shows the text.
            $shown[$name] = isset($event->$name) ? preg_replace('/\\\\([,;])/', '$1', (string) $event->$name) : null;
        }
        $events[] = $shown + ['sequence' => (int) (string) $event->SEQUENCE];
    }
    return ['events' => $events, 'complaints' => array_column($calendar->validate(), 'message')];
}

foreach (array_slice($argv, 1) as $path) {
    if ($path === '--version') {
        echo Sabre\VObject\Version::VERSION, "\n";
        continue;
    }
    try {
        $reading = read($path);
    } catch (Throwable $error) {
        $reading = ['error' => get_class($error) . ': ' . $error->getMessage()];
    }
    echo json_encode($reading, JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}
