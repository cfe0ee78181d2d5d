package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// The routes of every application here. Each answers with status 200 and no
// body, or with 500 and what it found instead.
const (
	pathUntouched = "/untouched" // leaves the session alone
	pathRead      = "/read"      // wants userID and userName
	pathWrite     = "/write"     // adds one to the counter
	pathFill      = "/fill"      // puts the standard session in
	pathLogin     = "/login"     // a new id where there are ids, userID, userName, and a flash
	pathAdd       = "/add"       // adds a flash
	pathTake      = "/take"      // wants exactly one flash
	pathCount     = "/count"     // answers with the counter; only for checks
)

// The standard session: an id, a name, three roles, a token of 32 bytes, a
// counter, and one flash.
const (
	keyUser, keyName, keyRoles, keyToken, keyCounter = "user_id", "name", "roles", "token", "counter"

	userID     = int64(1234567)
	userName   = "Jane Example"
	firstCount = 41
	flashText  = "Your settings have been saved"
	flashKind  = "success"
)

var (
	roles = []string{"reader", "editor", "admin"}
	token = []byte("\xd1\x0f\x7a\x33\x9e\x58\xc4\x01\xb2\x6d\xee\x47\x90\x1c\xa5\xf8\x21\x7b\xd6\x3a\x5f\x0e\x84\xc9\x66\x13\xfa\xb7\x48\x2d\x95\xe0")
)

// errWrong is what a route answers with that did not find what it wanted.
var errWrong = errors.New("the session does not hold what was put in")

// A shape is what a request does with its session.
type shape struct {
	name  string
	about string
	paths []string
}

var shapes = []shape{
	{"untouched", "the middleware is mounted, and the request leaves its session alone", []string{pathUntouched}},
	{"read", "two values are read", []string{pathRead}},
	{"write", "a counter is read, increased and saved", []string{pathWrite}},
	{"log-in", "a request without a cookie gets a session with a new id where there are ids, the user's id and name, and a flash message", []string{pathLogin}},
	{"flash", "one request adds a message and the next one takes it: two requests", []string{pathAdd, pathTake}},
}

// walk is a shape on its way through an app, with a session of its own. It
// may be repeated for ever.
type walk struct {
	steps  []exchange
	failed string // the first answer that was none
}

func (w *walk) run() {
	for _, e := range w.steps {
		if e.send() != http.StatusOK && w.failed == "" {
			w.failed = fmt.Sprintf("status 500: %s", e.body())
		}
	}
}

func (w *walk) err() error {
	if w.failed != "" {
		return errors.New(w.failed)
	}
	return nil
}

// start logs in and prepares the requests of a shape, each with the cookie
// that it would come with.
func (s *shape) start(a app) (*walk, error) {
	session, err := logIn(a)
	if err != nil {
		return nil, err
	}
	switch s.paths[0] {
	case pathLogin:
		session = ""
	case pathAdd:
		if session, err = follow(a, pathTake, session); err != nil {
			return nil, err
		}
	}
	w := &walk{}
	for _, path := range s.paths {
		w.steps = append(w.steps, a.prepare(path, session))
		if session, err = follow(a, path, session); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// check finds out whether an app really does what a shape says.
func (s *shape) check(a app) error {
	session, err := logIn(a)
	if err != nil {
		return err
	}
	switch s.paths[0] {
	case pathRead:
		return refuses(a, pathRead, "")
	case pathWrite:
		return checkWrite(a, session)
	case pathLogin:
		return checkLogin(a)
	case pathAdd:
		return checkFlash(a, session)
	}
	_, err = follow(a, s.paths[0], session)
	return err
}

func checkWrite(a app, session string) error {
	if e := a.prepare(pathCount, session); e.send() != http.StatusOK || e.body() != strconv.Itoa(firstCount) {
		return fmt.Errorf("the counter begins at %q", e.body())
	}
	for i := range 3 {
		after, err := follow(a, pathWrite, session)
		if err != nil {
			return err
		}
		e := a.prepare(pathCount, after)
		if e.send(); e.body() != strconv.Itoa(firstCount+1+i) {
			return fmt.Errorf("after %d writes the counter is %q", i+1, e.body())
		}
		session = after
	}
	return nil
}

func checkLogin(a app) error {
	session, err := follow(a, pathLogin, "")
	if err == nil {
		session, err = follow(a, pathRead, session)
	}
	if err == nil {
		_, err = follow(a, pathTake, session)
	}
	return err
}

func checkFlash(a app, session string) error {
	session, err := follow(a, pathTake, session) // that of the log-in
	if err == nil {
		err = refuses(a, pathTake, session)
	}
	if err == nil {
		session, err = follow(a, pathAdd, session)
	}
	if err == nil {
		session, err = follow(a, pathTake, session)
	}
	if err == nil {
		err = refuses(a, pathTake, session)
	}
	return err
}

// logIn begins a standard session, looks into it, and returns its cookie.
func logIn(a app) (session string, err error) {
	if session, err = follow(a, pathFill, ""); err != nil {
		return "", err
	}
	if session == "" {
		return "", errors.New("no cookie came with the session")
	}
	_, err = follow(a, pathRead, session)
	return session, err
}

// follow sends one request and returns the cookie that the browser has after
// it.
func follow(a app, path, session string) (after string, err error) {
	e := a.prepare(path, session)
	if status := e.send(); status != http.StatusOK {
		return "", fmt.Errorf("%s: status %d: %s", path, status, e.body())
	}
	if set := e.setCookie(); set != "" {
		return set, nil
	}
	return session, nil
}

func refuses(a app, path, session string) error {
	if e := a.prepare(path, session); e.send() == http.StatusOK {
		return fmt.Errorf("%s is content with a session that does not hold what it wants", path)
	}
	return nil
}

func findShape(name string) *shape {
	for i := range shapes {
		if shapes[i].name == name {
			return &shapes[i]
		}
	}
	panic("there is no shape " + name)
}
