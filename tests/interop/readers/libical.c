/* Calendars on the disk → one JSON line for each: the events as libical reads them, and what its restriction check
 * (RFC 5545 and 5546 as libical's authors wrote them down) has against the calendar. */
#include <libical/ical.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_string(const char *text)
{
    if (text == NULL) {
        printf("null");
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            printf("\\u%04x", *text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void print_field(const char *name, const char *text)
{
    printf(", \"%s\": ", name);
    print_string(text);
}

/* The zone is the calendar's own, as a program that trusts the feed takes it. */
static void print_time(const char *name, struct icaltimetype time)
{
    char text[32];
    if (icaltime_is_null_time(time)) {
        print_field(name, NULL);
        return;
    }
    const char *mark = time.zone == NULL ? "" : "Z";
    if (time.zone != NULL)
        time = icaltime_convert_to_zone(time, icaltimezone_get_utc_timezone());
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d%s", time.year, time.month, time.day, time.hour,
             time.minute, time.second, mark);
    print_field(name, text);
}

static const char *url_of(icalcomponent *event)
{
    icalproperty *url = icalcomponent_get_first_property(event, ICAL_URL_PROPERTY);
    return url ? icalproperty_get_url(url) : NULL;
}

static const char *status_of(icalcomponent *event)
{
    icalproperty *status = icalcomponent_get_first_property(event, ICAL_STATUS_PROPERTY);
    return status ? icalproperty_get_value_as_string(status) : NULL;
}

static void print_events(icalcomponent *calendar)
{
    const char *separator = "";
    icalcomponent *event = icalcomponent_get_first_component(calendar, ICAL_VEVENT_COMPONENT);
    for (; event; event = icalcomponent_get_next_component(calendar, ICAL_VEVENT_COMPONENT)) {
        printf("%s{\"sequence\": %d", separator, icalcomponent_get_sequence(event));
        print_field("uid", icalcomponent_get_uid(event));
        print_time("start", icalcomponent_get_dtstart(event));
        print_time("end", icalcomponent_get_dtend(event));
        print_field("summary", icalcomponent_get_summary(event));
        print_field("description", icalcomponent_get_description(event));
        print_field("location", icalcomponent_get_location(event));
        print_field("url", url_of(event));
        print_field("status", status_of(event));
        putchar('}');
        separator = ", ";
    }
}

static void print_complaints(icalcomponent *component, const char **separator)
{
    icalproperty *error = icalcomponent_get_first_property(component, ICAL_XLICERROR_PROPERTY);
    for (; error; error = icalcomponent_get_next_property(component, ICAL_XLICERROR_PROPERTY)) {
        printf("%s", *separator);
        print_string(icalproperty_get_value_as_string(error));
        *separator = ", ";
    }
    icalcomponent *part = icalcomponent_get_first_component(component, ICAL_ANY_COMPONENT);
    for (; part; part = icalcomponent_get_next_component(component, ICAL_ANY_COMPONENT))
        print_complaints(part, separator);
}

static char *contents(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = calloc(1, (size_t)size + 1);
    if (fread(text, 1, (size_t)size, file) != (size_t)size)
        perror(path);
    fclose(file);
    return text;
}

int main(int count, char **paths)
{
    if (count == 2 && strcmp(paths[1], "--version") == 0) {
        puts(ICAL_VERSION);
        return 0;
    }
    for (int i = 1; i < count; i++) {
        char *text = contents(paths[i]);
        icalcomponent *calendar = text ? icalparser_parse_string(text) : NULL;
        if (calendar == NULL || icalcomponent_isa(calendar) != ICAL_VCALENDAR_COMPONENT) {
            puts("{\"error\": \"libical finds no calendar in it\"}");
        } else {
            const char *separator = "";
            icalrestriction_check(calendar);
            printf("{\"events\": [");
            print_events(calendar);
            printf("], \"complaints\": [");
            print_complaints(calendar, &separator);
            puts("]}");
        }
        if (calendar)
            icalcomponent_free(calendar);
        free(text);
    }
    return 0;
}
