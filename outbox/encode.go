package outbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// row is an event in the form in which it goes to the database.
type row struct {
	id, subject string
	key         string // empty for null
	headers     string // JSON; empty for null
	payload     []byte // never nil, which would be null
}

// encodeAll encodes and validates events.
func encodeAll(trace traceContext, events []Event) ([]row, error) {
	rows := make([]row, len(events))
	for i, event := range events {
		raw, err := toRaw(event)
		if err != nil {
			return nil, fmt.Errorf("outbox: event %d: %w", i, err)
		}
		raw.Headers = trace.addTo(raw.Headers)
		if err := raw.validate(i); err != nil {
			return nil, err
		}
		rows[i] = raw.row()
	}
	return rows, nil
}

func toRaw(event Event) (Raw, error) {
	if event == nil {
		return Raw{}, errors.New("is nil")
	}
	if isNil(event) {
		return Raw{}, fmt.Errorf("is a nil %T", event)
	}
	switch event := event.(type) {
	case Raw:
		return event, nil
	case *Raw:
		return *event, nil
	}
	return encode(event)
}

// encode asks event for what it decides. A method that panics is an error, for instance one that is
// promoted from an embedded nil pointer.
func encode(event Event) (raw Raw, err error) {
	if err := checkMethods(reflect.TypeOf(event)); err != nil {
		return Raw{}, err
	}
	method := "EventName"
	defer func() {
		if p := recover(); p != nil {
			raw, err = Raw{}, fmt.Errorf("%s of %T panicked: %v", method, event, p)
		}
	}()
	raw.Subject = event.EventName()
	if e, ok := event.(Keyed); ok {
		method = "EventKey"
		raw.Key = e.EventKey()
	}
	if e, ok := event.(Headered); ok {
		method = "EventHeaders"
		raw.Headers = e.EventHeaders()
	}
	if e, ok := event.(Identified); ok {
		method = "EventID"
		raw.ID = e.EventID()
	}
	method = "the JSON encoding"
	if raw.Payload, err = json.Marshal(event); err != nil {
		return Raw{}, fmt.Errorf("encode %T as JSON: %w", event, err)
	}
	return raw, nil
}

// row encodes a valid event.
func (r Raw) row() row {
	id := ID(r.ID)
	if id == (ID{}) {
		id = NewID()
	}
	encoded := row{id: id.String(), subject: r.Subject, key: r.Key, payload: r.Payload}
	if encoded.payload == nil {
		encoded.payload = []byte{}
	}
	if len(r.Headers) > 0 {
		headers, _ := json.Marshal(r.Headers) // strings cannot fail
		encoded.headers = string(headers)
	}
	return encoded
}

// optional are the methods that an event may have. The names stand in calls of their own because a name that is a constant
// there lets the linker still leave unused methods out of the program.
var optional = []struct {
	signature string
	of        reflect.Type
	in        func(reflect.Type) bool
}{
	{"EventKey() string", reflect.TypeFor[Keyed](), func(t reflect.Type) bool {
		_, ok := t.MethodByName("EventKey")
		return ok
	}},
	{"EventHeaders() map[string]string", reflect.TypeFor[Headered](), func(t reflect.Type) bool {
		_, ok := t.MethodByName("EventHeaders")
		return ok
	}},
	{"EventID() [16]byte", reflect.TypeFor[Identified](), func(t reflect.Type) bool {
		_, ok := t.MethodByName("EventID")
		return ok
	}},
}

var checkedTypes sync.Map // of reflect.Type to error

// checkMethods returns an error for an optional method that would be ignored without a word: one of another type, such as
// EventID() uuid.UUID, or one that only the pointer has. The compiler cannot see it, and the key or the id would be lost.
func checkMethods(t reflect.Type) error {
	if known, ok := checkedTypes.Load(t); ok {
		err, _ := known.(error)
		return err
	}
	err := ignoredMethod(t)
	checkedTypes.Store(t, err)
	return err
}

func ignoredMethod(t reflect.Type) error {
	for _, method := range optional {
		switch {
		case t.Implements(method.of):
		case method.in(t):
			return fmt.Errorf("type %s has this method with other types: write it as %s", t, method.signature)
		case t.Kind() != reflect.Pointer && method.in(reflect.PointerTo(t)):
			return fmt.Errorf("type %s has the method %s on its pointer alone: publish a pointer to it", t, method.signature)
		}
	}
	return nil
}
