package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/ginsession/ginsession"
)

const (
	maxInput = 1 << 20 // bytes, of standard input

	// maxTried bounds how many cookies are opened, which takes about a
	// millisecond each.
	maxTried = 50

	maxReported = 10 // cookies that did not open
)

// settings are the arguments of show.
type settings struct {
	secret   string
	name     string
	flask    bool
	lifetime time.Duration
	text     string
}

// show prints the session of every cookie that opens; if none does, it prints
// why.
func show(args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	set, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(stdout, usage)
		return 0
	}
	if set.secret = getenv("SESSION_SECRET"); err == nil && set.secret == "" {
		err = errors.New("the environment variable SESSION_SECRET is empty; set it to the app's secret")
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "ginsession: %v\n", err)
		return statusUsage
	}
	if set.text == "" {
		text, err := io.ReadAll(io.LimitReader(stdin, maxInput))
		if err != nil {
			_, _ = fmt.Fprintf(stderr, "ginsession: reading the cookie: %v\n", err)
			return statusFailed
		}
		set.text = string(text)
	}
	return showAll(set, stdout, stderr)
}

// parse takes flags before and after the cookie.
func parse(args []string) (settings, error) {
	var set settings
	flags := flag.NewFlagSet("show", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&set.name, "name", "", "")
	flags.BoolVar(&set.flask, "flask", false, "")
	flags.DurationVar(&set.lifetime, "lifetime", 31*24*time.Hour, "")
	var words []string
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		if !isValue(flags, arg) {
			return false
		}
		words = append(words, arg)
		return true
	})
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return set, err
		}
		if args = flags.Args(); len(args) > 0 {
			words, args = append(words, args[0]), args[1:]
		}
	}
	set.text = strings.Join(words, " ") // "Cookie: …" without quotes
	return set, nil
}

// isValue reports whether arg is a cookie's value although it begins as a flag
// does: base64url has hyphens.
func isValue(flags *flag.FlagSet, arg string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return strings.HasPrefix(arg, "-") && len(arg) >= minValue && flags.Lookup(name) == nil
}

func showAll(set settings, stdout, stderr io.Writer) int {
	candidates := set.candidates()
	if len(candidates) == 0 {
		_, _ = fmt.Fprintln(stderr, "ginsession: "+set.nothing())
		return statusFailed
	}
	var failed []failure
	var mistake *ginsession.ConfigError
	tried, shown := 0, false
	for _, k := range candidates {
		if reason := malformed(k.value); reason != "" {
			failed = append(failed, failure{k, fmt.Errorf("%w: %s", ginsession.ErrInvalid, reason)})
			continue
		}
		if tried++; tried > maxTried {
			continue
		}
		found, err := set.open(k)
		if err != nil && !errors.As(err, &mistake) { // a short secret may be long enough for the next one, Flask's
			failed = append(failed, failure{k, err})
		}
		if err != nil {
			continue
		}
		if err := printJSON(stdout, found); err != nil {
			_, _ = fmt.Fprintf(stderr, "ginsession: printing the session: %v\n", err)
			return statusFailed
		}
		shown = true
	}
	if tried > maxTried {
		_, _ = fmt.Fprintf(stderr, "ginsession: of %d cookies, %d were tried; choose one with --name\n", tried, maxTried)
	}
	switch {
	case shown:
		return 0
	case mistake != nil:
		_, _ = fmt.Fprintln(stderr, explain(mistake))
		return statusUsage
	}
	set.report(stderr, failed)
	return statusFailed
}

// printJSON writes nothing that a terminal obeys or hides: of what is not
// ASCII, JSON itself escapes only U+2028 and U+2029.
func printJSON(w io.Writer, v any) error {
	var b strings.Builder
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, escapeInvisible(b.String()))
	return err
}

// escapeInvisible escapes, in JSON, what has no glyph of its own: control and
// format characters, which include all that change the direction of text, all
// spaces but the ASCII one, unassigned and private characters, fillers and
// variation selectors.
func escapeInvisible(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// candidates returns the cookies to try, under each name that they can have;
// those with a session's default name come first.
func (set settings) candidates() (candidates []cookie) {
	names := set.names()
	for _, k := range cookiesIn(set.text) {
		switch {
		case k.name == "" && set.isFlask(k): // bound to no name
			candidates = append(candidates, cookie{cmp.Or(set.name, "session"), k.value})
		case k.name == "":
			for _, name := range names {
				candidates = append(candidates, cookie{name, k.value})
			}
		case set.name == "" || set.name == k.name:
			candidates = append(candidates, k)
		}
	}
	rank := func(k cookie) int { return slices.Index(append(names, k.name), k.name) }
	slices.SortStableFunc(candidates, func(a, b cookie) int { return rank(a) - rank(b) })
	return candidates
}

func (set settings) names() []string {
	if set.name != "" {
		return []string{set.name}
	}
	return []string{"__Host-session", "session"}
}

func (set settings) nothing() string {
	if set.name != "" && len(cookiesIn(set.text)) > 0 {
		return fmt.Sprintf("there is no cookie named %q in it; leave --name out to try all", set.name)
	}
	return "there is no cookie in it; give its value, name=value, or one whole Cookie or Set-Cookie line"
}

// explain names the variable or flag whose value an option of ginsession.New
// refused.
func explain(mistake *ginsession.ConfigError) string {
	where := map[string]string{"secret": "SESSION_SECRET", "WithName": "--name", "WithLifetime": "--lifetime"}
	return fmt.Sprintf("ginsession: %s: %s", cmp.Or(where[mistake.Option], mistake.Option), mistake.Reason)
}

// failure is a cookie that did not open.
type failure struct {
	cookie
	err error
}

// report prints why nothing was opened: of the cookies that have the name of a
// session, if there are any, and of the rest if not.
func (set settings) report(stderr io.Writer, failed []failure) {
	foreign := func(f failure) bool { return !slices.Contains(set.names(), f.name) }
	if ours := slices.DeleteFunc(slices.Clone(failed), foreign); len(ours) > 0 {
		failed = ours
	}
	for _, f := range failed[:min(len(failed), maxReported)] {
		_, _ = fmt.Fprintf(stderr, "%v (cookie %q, %d bytes)\n", f.err, f.name, len(f.value))
	}
	if more := len(failed) - maxReported; more > 0 {
		_, _ = fmt.Fprintf(stderr, "and %d more cookies\n", more)
	}
	old := slices.IndexFunc(failed, func(f failure) bool { return errors.Is(f.err, ginsession.ErrExpired) })
	switch {
	case old < 0:
		_, _ = io.WriteString(stderr, adviceInvalid)
	case set.isFlask(failed[old].cookie):
		_, _ = io.WriteString(stderr, "The secret is right. --lifetime 87600h shows what was in the cookie.\n")
	default:
		_, _ = io.WriteString(stderr, "The secret and the name are right.\n")
	}
}

const adviceInvalid = `Is SESSION_SECRET the one that the app has, or had when it wrote the cookie? Is
the value complete? A cookie is bound to its name: give it with --name.
`
