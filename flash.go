package ginsession

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/ginsession/ginsession/internal/codec"
)

// Flask's names for what is no key of ours.
const (
	keyFlashes   = "_flashes"
	keyPermanent = "_permanent"
)

// defaultCategory is that of a flash added without one, as in Flask.
const defaultCategory = "message"

// Flash is a message for the next page that the browser shows.
type Flash struct {
	// Message is a string, or a [template.HTML] if it was added as one, so
	// that {{.Message}} does the right thing in a template of html/template.
	// Anything else comes back as [Session.Get] gives it.
	Message any `json:"message"`
	// Category is what the message was added under, "message" by default.
	Category string `json:"category"`
}

// AddFlash keeps a message for the next call of [Session.Flashes], here or in
// a later request. If there is no room for all messages of a session, the oldest
// are dropped. The category "" means "message". The message is a string or
// a [template.HTML]; of an error its text is kept. Never put what a user typed
// into a template.HTML. Errors are those of [Session.Set].
func (s *Session) AddFlash(message any, category string) {
	if err, ok := message.(error); ok {
		message = err.Error()
	}
	raw, err := s.encode("flash", message)
	if err == nil && !utf8.ValidString(category) {
		err = fmt.Errorf("%w: the flash category %q is not valid UTF-8", ErrValue, category)
	}
	s.change()
	defer s.mu.Unlock()
	if err != nil {
		s.txn.Refuse(err)
		return
	}
	s.txn.AddFlash(orDefault(category), raw)
}

// Flashes returns the messages of these categories, or all of them, oldest
// first, and takes them out of the session: each is shown once. Messages of
// other categories stay for later. Within a request, further calls return the
// same messages again; what is added after the first call is for the next
// request (Flask's rule).
//
// In a template: {{range .session.Flashes}}<p class="{{.Category}}">{{.Message}}</p>{{end}}
func (s *Session) Flashes(categories ...string) []Flash {
	s.change()
	defer s.mu.Unlock()
	wanted := wants(categories)
	var shown []Flash
	for _, f := range s.txn.TakeFlashes(wanted) {
		if wanted(f) {
			message, _ := decodeAny(f.Raw)
			shown = append(shown, Flash{message, f.Category})
		}
	}
	return shown
}

// KeepFlashes keeps messages that this request has shown, of these categories or
// all of them, for the next request (the flash.keep of Rails): for a page that
// redirects once more. It is called after [Session.Flashes].
func (s *Session) KeepFlashes(categories ...string) {
	s.change()
	defer s.mu.Unlock()
	s.txn.KeepFlashes(wants(categories))
}

// wants returns a function that reports whether a message is of these categories.
func wants(categories []string) func(codec.Flash) bool {
	return func(f codec.Flash) bool {
		return len(categories) == 0 || slices.Contains(categories, f.Category) ||
			f.Category == defaultCategory && slices.Contains(categories, "")
	}
}

func orDefault(category string) string {
	if category == "" {
		return defaultCategory
	}
	return category
}
