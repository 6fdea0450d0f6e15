// golang.go FILE... → one JSON line for each file: the events as golang-ical has them.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	ics "github.com/arran4/golang-ical"
)

type object = map[string]interface{}

func event(one *ics.VEvent) (object, error) {
	shown := object{"uid": one.Id()}
	for name, property := range map[string]ics.ComponentProperty{
		"summary":     ics.ComponentPropertySummary,
		"description": ics.ComponentPropertyDescription,
		"location":    ics.ComponentPropertyLocation,
		"url":         ics.ComponentPropertyUrl,
		"status":      ics.ComponentPropertyStatus,
	} {
		if found := one.GetProperty(property); found != nil {
			shown[name] = ics.FromText(found.Value)
		}
	}
	if found := one.GetProperty(ics.ComponentPropertySequence); found != nil {
		sequence, err := strconv.Atoi(found.Value)
		if err != nil {
			return nil, err
		}
		shown["sequence"] = sequence
	}
	for name, ask := range map[string]func() (time.Time, error){"start": one.GetStartAt, "end": one.GetEndAt} {
		moment, err := ask()
		if err != nil {
			return nil, err
		}
		shown[name] = moment.UTC().Format("2006-01-02T15:04:05Z")
	}
	return shown, nil
}

func reading(path string) object {
	file, err := os.Open(path)
	if err != nil {
		return object{"error": err.Error()}
	}
	defer file.Close()
	calendar, err := ics.ParseCalendar(file)
	if err != nil {
		return object{"error": err.Error()}
	}
	events := []object{}
	for _, one := range calendar.Events() {
		if one == nil { // what it makes of an event that does not end
			return object{"error": "an event that is none"}
		}
		shown, err := event(one)
		if err != nil {
			return object{"error": err.Error()}
		}
		events = append(events, shown)
	}
	return object{"events": events}
}

func main() {
	for _, path := range os.Args[1:] {
		line, err := json.Marshal(reading(path))
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
}
