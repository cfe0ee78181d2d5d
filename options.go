package ginsession

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-playground/validator/v10"

	"github.com/ginsession/ginsession/internal/memcached"
	"github.com/ginsession/ginsession/internal/recordstore"
)

// Option changes one default of [New]. If two set the same thing, the last
// one wins.
type Option func(*config)

// WithStore keeps sessions in a store of your own; the cookie carries a sealed
// id and no value. See [Store] for what a store has to do, and [WithStoreTimeout]
// for how long each of its calls may take. The module
// github.com/ginsession/ginsession/redisstore has one for Redis and Valkey.
func WithStore(store Store) Option {
	return func(c *config) {
		c.storeFrom("WithStore", func(c *config) recordstore.Store {
			if store == nil {
				c.wrong("WithStore", "the store is nil; leave the option out for an encrypted cookie")
			}
			return storeRoom{store}
		})
	}
}

// WithStoreTimeout limits how long each call of a store of your own may take
// ([WithStore]). The default is 500 milliseconds, as for Memcached, the least 10
// milliseconds. It is for WithStore only: [WithMemcached] and
// [WithMemcachedClient] have limits of their own. So has a store with a method
// CallTimeout() time.Duration, which returns its limit: it is not limited here
// unless this option is given, and then the shorter of the two holds. The stores
// of redisstore and sqlstore are such.
//
// The limit is the deadline of the context that the store gets, and it is up to
// the store to honour it: a goroutine that waits cannot be ended from outside,
// and a store that ignores its context holds the request for as long as it
// hangs. With one that returns when its context is over, the request gets
// [ErrUnavailable] and status 503.
//
// The limit is for one call, not for a request. Reading is one call and saving is
// another; a [Session.Renew] or [Session.Destroy] that the store stops answering
// halfway makes up to eight. A commit that meets conflicts is tried again for five
// seconds.
func WithStoreTimeout(d time.Duration) Option {
	return func(c *config) { c.StoreTimeout, c.timed = d, true }
}

// WithFlaskCookie keeps the session in the very cookie of a Flask app, so that
// routes can move from Flask to Gin one by one and every visitor stays logged
// in. The secret is the app's SECRET_KEY, 16 bytes or more, and
// [WithPreviousSecrets] are its SECRET_KEY_FALLBACKS. The default name is
// "session"; [WithLifetime] is PERMANENT_SESSION_LIFETIME. The other defaults
// stay safer than Flask's; [WithInsecureCookie] and the like bring them in line.
//
// This cookie is signed with HMAC-SHA1 and not encrypted: its owner can read
// it. It is not bound to its name, for which the format has no place: a cookie
// of one name opens under another with the same secret. The lifetime runs from
// the last write, and there is no idle timeout. As in Flask, a permanent session
// is sent again with every response, so the cookie is read in every request that
// brings one. Values that are not changed are written back byte for byte. A
// session whose JSON has more than 64 KiB, compressed or not, is refused in a
// cookie ([ErrInvalid]) and never written ([ErrTooLarge]).
func WithFlaskCookie() Option { return func(c *config) { c.Flask = true } }

// WithFlaskMigration moves visitors on from Flask's cookie once the Flask app
// is gone: a request that brings no session of ours, but a Flask cookie named
// "session" that is signed with secret or one of previous, gets its content as
// a session of ours, and the Flask cookie is expired. Take the option out when
// the last Flask cookie has run out, after the lifetime. Each secret has at
// least 16 bytes.
//
// The Flask cookie is expired under the path and domain of our own: keep
// Flask's with [WithPath] and [WithDomain], or its cookie stays and brings the
// session back after a log-out. The encrypted cookie is not compressed as
// Flask's is; a session that is too large for it stays where it is until it
// changes.
//
// Each request that brings the Flask cookie takes its session over. Parallel ones
// begin a session each; the browser keeps the one whose response comes last, and
// what the others changed is lost. One that is still under way when the user logs
// out logs the browser in again. Until the option is out, a copy of a Flask cookie
// is as good as it was under Flask: also after a log-out, unless [WithValidator]
// refuses it. Anyone who has the Flask app's secret can forge any session.
func WithFlaskMigration(secret string, previous ...string) Option {
	secrets := append([]string{secret}, previous...)
	return func(c *config) { c.FlaskSecrets = secrets }
}

// WithCookieMigration moves sessions from the encrypted cookie to a server store
// ([WithMemcached], [WithStore]) without logging anybody out: a request that
// brings no session of the store, but an encrypted cookie that was sealed under
// secret or one of previous, gets its content as a session of the store, and the
// cookie is replaced. The secret is the one that the app gave to [New] before,
// most often that of today, and previous are its [WithPreviousSecrets]. Each has at
// least 32 bytes. Take the option out when the last of these cookies has run out,
// after the longest lifetime.
//
//	ginsession.New(secret,
//		ginsession.WithMemcached("10.0.0.1:11211"),
//		ginsession.WithCookieMigration(secret))
//
// Values, flash messages and the times of a session stay as they are, those of
// [Session.Remember] and [Session.SetLifetime] too: none lasts longer than it
// would have. An old cookie that is not accepted returns the errors of
// [Session.Rejected].
//
// Keep the name, the path and the domain of the cookie, and [WithInsecureCookie] if
// it was there: a cookie is not read under another name, and one of another path or
// domain stays and brings the session back after a log-out. Replace all processes
// at once: one that keeps sessions in cookies cannot read those of a store.
//
// A session is taken over by each request that brings its old cookie. Parallel
// ones begin a session each; the browser keeps the one whose response comes last,
// and what the others changed is lost. One that is still under way when the user
// logs out logs the browser in again. Until the option is out, a copy of an old
// cookie is as good as it was before: also after a log-out, unless
// [WithValidator] refuses it. Anyone who has one of the secrets can make any
// session.
func WithCookieMigration(secret string, previous ...string) Option {
	secrets := append([]string{secret}, previous...)
	return func(c *config) { c.CookieSecrets = secrets }
}

// WithPreviousSecrets keeps cookies valid that earlier secrets sealed, so that
// a secret can be changed without logging everybody out. Each needs at least
// 32 bytes (16 with [WithFlaskCookie]), which are not all the same and not
// blank. They only open: what one of them opened is sealed under the first
// secret at the session's next write.
func WithPreviousSecrets(secrets ...string) Option {
	secrets = slices.Clone(secrets)
	return func(c *config) { c.Previous = secrets }
}

// WithLifetime limits how long a session is good, counted from its creation or
// its last [Session.Renew], whatever the browser does. The default is 31 days,
// the least 10 milliseconds; writes do not extend it.
func WithLifetime(d time.Duration) Option { return func(c *config) { c.Lifetime = d } }

// WithIdleTimeout ends a session that has not been used for d (sliding
// expiration). The default, 0, is none. Only a request that uses the session
// keeps it alive. Use is noted at most once every quarter of d, so a session
// lasts between three quarters of d and d after its last use. If it cannot be
// noted, a request that only reads does not fail. d may not exceed the lifetime.
func WithIdleTimeout(d time.Duration) Option { return func(c *config) { c.IdleTimeout = d } }

// WithPermanent makes new sessions outlive the browser window, as if each
// began with [Session.SetPermanent](true).
func WithPermanent() Option { return func(c *config) { c.Permanent = true } }

// WithContextKey puts the session under another key of the [gin.Context] than
// [Key], for a second session beside the first. [From] reads only [Key]; use
// c.MustGet with the other.
func WithContextKey(key string) Option { return func(c *config) { c.ContextKey = key } }

// WithRequestContext also puts the session into the context of the
// [http.Request], where [FromContext] finds it. That takes a copy of the request
// for each one, even if it does not use its session.
func WithRequestContext() Option { return func(c *config) { c.inRequest = true } }

// WithResponseBuffer sets how much of a response's body is held back until the
// session is committed, in bytes, from 0 to 1 GiB. The default is 256 KiB. When a
// handler has written that much, the session is committed and the headers are
// sent: after that a session in a cookie cannot change ([ErrLate]). With 0 the
// first write does that. The memory of a request grows with what it writes, to
// about twice this size at most.
func WithResponseBuffer(bytes int) Option { return func(c *config) { c.ResponseBuffer = bytes } }

// WithMergeBuffer sets how much memory the process has for merging parallel
// requests of sessions in encrypted cookies, in bytes, from 0 to 64 GiB. The
// default is 16 MiB. It holds the newest cookie of each session that was written
// in the last one to two minutes, encrypted, and forgets the oldest first if it
// is full. With it, in one process (or with sticky routing), cookies
// keep the promises of a server store: no change is lost to a parallel request, and
// a session that was renewed or destroyed is not brought back by one.
//
// Between processes, for sessions that were forgotten, and with 0, the last write
// wins: each request starts from the cookie that it came with. A cookie that this
// process does not know is never overruled.
func WithMergeBuffer(bytes int) Option {
	return func(c *config) { c.MergeBuffer, c.merging = bytes, true }
}

// WithErrorHandler lets h write the response if a session cannot be read or
// saved. The handler's own response has been dropped by then, headers and all;
// if h writes nothing, a plain page with status 503 ([ErrUnavailable]) or
// 500 follows. h may read the session, but what it changes is not saved. It
// must not hand the request on with HandleContext to a page that uses the
// session.
//
// Once headers have left, h is still called, but what it writes is discarded. It
// is not called if the session has ended while the request was under way
// ([ErrUnknown]), which is no failure. In every case the error is in c.Errors
// already. The default, nil, is the plain page.
func WithErrorHandler(h func(*gin.Context, error)) Option {
	return func(c *config) { c.errorHandler = h }
}

// WithValidator lets the app refuse sessions that it cannot reach: those of a
// user whose password has changed, or whose account is closed, wherever they are
// logged in. When a request first uses a session that came with it, valid is
// called. If it returns false, the request gets a fresh session, and
// [Session.Rejected] returns [ErrRevoked]. If it returns an error, the request
// gets [ErrUnavailable] and status 503, not an anonymous session.
//
//	ginsession.WithValidator(func(ctx context.Context, s *ginsession.Session) (bool, error) {
//		if !s.Has("user_id") {
//			return true, nil // a stranger's
//		}
//		since, err := users.LoggedOutEverywhere(ctx, s.GetInt("user_id"))
//		return !s.CreatedAt().Before(since), err
//	})
//
// A handler that logs a user out everywhere but here calls [Session.Renew], and
// then notes s.CreatedAt().Truncate(time.Second) as the moment: a database that
// rounds [Session.CreatedAt] up would end this session too. What began earlier
// in the same second stays. To log out here too, it notes time.Now(), and then
// calls [Session.Destroy]. The clocks of the app's servers agree. With
// [WithFlaskCookie] every write moves CreatedAt: keep the time of the log-in in
// the session there.
//
// It works for cookies too, and is how a copy of one is refused. A session is
// refused, not ended: if valid accepts it again later, it is back, unless the
// request called [Session.Destroy], which ends the record of a refused session,
// too. A request that was accepted goes on, and may renew its session.
//
// The session given to valid can only be read; changing it panics. ctx is that of
// the request as it came to this middleware, but does not end when the client
// hangs up. It has no value of the [gin.Context]. A middleware before this one
// hands values to valid by the context of the request, in which valid finds them
// with ctx.Value; what later ones add is not there:
//
//	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), tenantKey{}, tenant))
//
// What valid calls must not use the request's own session, which waits for it.
// valid is called once in a request that uses its session, or up to eight times if
// the browser sends several cookies of the name ([WithFlaskMigration] and
// [WithCookieMigration] add as many for theirs). With [WithFlaskCookie] it is also
// called in requests that bring a cookie and do not use the session. Keep it fast.
// It is called from many goroutines at once. The default, nil, accepts all (OWASP
// ASVS 5, 7.4.2, 7.4.3 and 7.4.5).
func WithValidator(valid func(ctx context.Context, s *Session) (bool, error)) Option {
	return func(c *config) { c.validator = valid }
}

// WithLogger logs a line for each request that has changed its session, was
// refused one, could not save it, or had one that ended meanwhile: the cookie's
// name, the route, which check the cookie failed, the keys that were changed (100
// at most), the bytes of the Set-Cookie line or the record, and how long the
// store took. It never logs a value, an id or a secret.
//
// The messages are "session changed" (level Info, or Warn if messages were
// dropped for lack of room), "session ended" (Info), "session refused" (Warn),
// "session not saved" and "session unavailable" (Error). The attributes are
// cookie, request, why, error, did, keys, more_keys, flashes_added,
// flashes_taken, flashes_dropped, bytes and store. A warning in Gin's debug mode
// about a Secure cookie over plain http has the attributes cookie and host; see
// [WithInsecureCookie].
//
// Without this option the lines go to [slog.Default] in Gin's debug mode, and
// nowhere in its other modes. nil turns them off.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger, c.unlogged = logger, logger == nil }
}

const (
	minSecret       = 32 // bytes
	minFlaskSecret  = 16 // bytes; what Flask apps have
	flaskName       = "session"
	defaultLifetime = 31 * 24 * time.Hour
	defaultTimeout  = 500 * time.Millisecond // of a call of a store
)

// config is what the options fill in. The validator sees exported fields only;
// the option tag names the option in errors.
type config struct {
	Secret      string        `option:"secret" validate:"secret"`
	Previous    []string      `option:"WithPreviousSecrets" validate:"dive,secret"`
	Name        string        `option:"WithName" validate:"max=256,cookie_name"`
	Path        string        `option:"WithPath" validate:"startswith=/,max=1024,cookie_text"`
	Domain      string        `option:"WithDomain" validate:"omitempty,hostname_rfc1123"`
	SameSite    http.SameSite `option:"WithSameSite" validate:"min=1,max=4"`
	Lifetime    time.Duration `option:"WithLifetime" validate:"min=10ms"`
	IdleTimeout time.Duration `option:"WithIdleTimeout" validate:"omitempty,min=10ms"`
	ContextKey  string        `option:"WithContextKey" validate:"required"`
	KeyPrefix   string        `option:"WithKeyPrefix" validate:"max=200,key_prefix"`

	StoreTimeout time.Duration `option:"WithStoreTimeout" validate:"min=10ms"`

	ResponseBuffer int `option:"WithResponseBuffer" validate:"min=0,max=1073741824"`
	MergeBuffer    int `option:"WithMergeBuffer" validate:"min=0,max=68719476736"`

	FlaskSecrets  []string `option:"WithFlaskMigration" validate:"dive,flask_secret"`
	CookieSecrets []string `option:"WithCookieMigration" validate:"dive,own_secret"`

	Secure, HTTPOnly, Partitioned, Permanent, Flask bool

	named        bool
	prefixed     bool
	timed        bool
	merging      bool
	inRequest    bool
	errorHandler func(*gin.Context, error)
	validator    func(context.Context, *Session) (bool, error)
	logger       *slog.Logger
	unlogged     bool // WithLogger(nil)

	storeOption string // the option that chose a store
	makeStore   func(*config) recordstore.Store
	store       recordstore.Store // nil: the cookie

	mistakes []error
}

// callTimeout returns how long a call of the store may take, or 0 if that has a
// limit of its own.
func (c *config) callTimeout() time.Duration {
	room, ok := c.store.(storeRoom)
	if !ok { // Memcached
		return 0
	}
	_, limited := room.Store.(interface{ CallTimeout() time.Duration })
	if limited && !c.timed {
		return 0
	}
	return c.StoreTimeout
}

func (c *config) wrong(option, reason string) {
	c.mistakes = append(c.mistakes, &ConfigError{option, reason})
}

// storeFrom notes how to make the store once all options are known.
func (c *config) storeFrom(option string, newStore func(*config) recordstore.Store) {
	if c.storeOption != "" && c.storeOption != option {
		c.wrong(option, c.storeOption+" has chosen a store already; use one of the two")
	}
	c.storeOption, c.makeStore = option, newStore
}

// reasons has the rule behind each option's tags, and the way out.
var reasons = map[string]string{
	"WithName":           "a cookie name has 1 to 256 letters, digits or !#$%&'*+-.^_`|~ (RFC 6265bis, section 4.1.1)",
	"WithPath":           "a path begins with / and has at most 1024 printable ASCII characters without ;",
	"WithDomain":         "a domain is a host name without a leading dot, such as example.com",
	"WithSameSite":       "use one of http.SameSiteLaxMode, StrictMode, NoneMode and DefaultMode",
	"WithLifetime":       "a lifetime is a time.Duration of 10ms or more, such as 12*time.Hour; leave the option out for 31 days",
	"WithIdleTimeout":    "an idle timeout is a time.Duration of 10ms or more, such as 30*time.Minute; 0 is none",
	"WithKeyPrefix":      "a prefix has at most 200 printable ASCII characters and no space",
	"WithStoreTimeout":   "a limit is a time.Duration of 10ms or more, such as 2*time.Second; leave the option out for 500ms",
	"WithResponseBuffer": "a buffer has 0 to 1073741824 bytes (1 GiB); leave the option out for 256 KiB",
	"WithMergeBuffer":    "a buffer has 0 to 68719476736 bytes (64 GiB); leave the option out for 16 MiB",
	"WithContextKey":     "a context key is not empty; leave the option out for ginsession.Key",
}

// newConfig applies the options to the defaults and returns every mistake it
// finds, joined.
func newConfig(secret string, opts []Option) (*config, error) {
	c := &config{
		Secret:         secret,
		Path:           "/",
		SameSite:       http.SameSiteLaxMode,
		Lifetime:       defaultLifetime,
		ContextKey:     Key,
		KeyPrefix:      memcached.DefaultKeyPrefix,
		StoreTimeout:   defaultTimeout,
		ResponseBuffer: 256 << 10,
		MergeBuffer:    16 << 20,
		Secure:         true,
		HTTPOnly:       true,
	}
	for i, opt := range opts {
		if opt == nil {
			c.wrong("options", fmt.Sprintf("option %d is nil; leave it out", i+1))
			continue
		}
		opt(c)
	}
	if !c.named {
		c.Name = c.defaultName()
	}
	c.checkFields()
	c.checkTogether()
	if c.makeStore != nil {
		c.store = c.makeStore(c)
	}
	return c, errors.Join(c.mistakes...)
}

// checkFields runs the validator and translates what it finds: its own errors
// carry the value, which may be a secret.
func (c *config) checkFields() {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string { return f.Tag.Get("option") })
	rules := map[string]func(string) bool{
		"secret":       func(s string) bool { return len(s) >= c.minSecret() && !isGuessable(s) }, // min would count runes
		"own_secret":   func(s string) bool { return len(s) >= minSecret && !isGuessable(s) },
		"flask_secret": func(s string) bool { return len(s) >= minFlaskSecret && !isGuessable(s) },
		"cookie_name":  isToken,
		"cookie_text":  isAttributeText,
		"key_prefix":   isKeyText,
	}
	for tag, ok := range rules {
		check := func(fl validator.FieldLevel) bool { return ok(fl.Field().String()) }
		if err := v.RegisterValidation(tag, check); err != nil {
			panic(err) // the tag is empty or reserved: not for a user to see
		}
	}
	var found validator.ValidationErrors
	errors.As(v.Struct(c), &found)
	for _, f := range found {
		c.mistakes = append(c.mistakes, c.explain(f))
	}
}

// explain names the option, which is the field's name, and its rule. In a list
// an index follows the name. A secret is never quoted.
func (c *config) explain(f validator.FieldError) *ConfigError {
	option, index, listed := strings.Cut(f.Field(), "[")
	least := c.minSecret()
	switch option {
	case "WithFlaskMigration":
		least = minFlaskSecret
	case "WithCookieMigration":
		least = minSecret
	case "secret", "WithPreviousSecrets":
	default:
		return &ConfigError{option, fmt.Sprintf("%q: %s", fmt.Sprint(f.Value()), reasons[option])}
	}
	which := "it"
	if i, err := strconv.Atoi(strings.TrimSuffix(index, "]")); listed && err == nil {
		which = fmt.Sprintf("number %d", i+1)
	}
	if isGuessable(f.Value().(string)) && len(f.Value().(string)) >= least {
		return &ConfigError{option, which + " is one byte over and over, or blank; make one with: openssl rand -base64 32"}
	}
	return &ConfigError{option, fmt.Sprintf("%s has %d bytes and needs at least %d; make one with: openssl rand -base64 32",
		which, len(f.Value().(string)), least)}
}

// isGuessable reports whether a secret consists of one byte, or of blanks.
func isGuessable(s string) bool {
	return strings.TrimSpace(s) == "" || strings.Count(s, s[:1]) == len(s)
}

// secrets are all that open; the first one seals.
func (c *config) secrets() []string { return append([]string{c.Secret}, c.Previous...) }

func (c *config) minSecret() int {
	if c.Flask {
		return minFlaskSecret
	}
	return minSecret
}

// checkTogether applies the rules that take more than one option.
func (c *config) checkTogether() {
	host := hasPrefixFold(c.Name, "__Host-")
	httpOnly := hasPrefixFold(c.Name, "__Http-") || hasPrefixFold(c.Name, "__Host-Http-")
	rules := []struct {
		broken         bool
		option, reason string
	}{
		{(host || httpOnly || hasPrefixFold(c.Name, "__Secure-")) && !c.Secure, "WithName",
			"browsers refuse this prefix without Secure; drop WithInsecureCookie or the prefix"},
		{host && c.Path != "/", "WithName",
			"browsers refuse the prefix __Host- with a path other than /; drop WithPath or use __Secure-"},
		{host && c.Domain != "", "WithName",
			"browsers refuse the prefix __Host- with a domain; drop WithDomain or use __Secure-"},
		{httpOnly && !c.HTTPOnly, "WithName",
			"browsers refuse this prefix without HttpOnly; drop WithScriptAccess or the prefix"},
		{c.SameSite == http.SameSiteNoneMode && !c.Secure, "WithSameSite",
			"browsers refuse SameSite=None without Secure; drop WithInsecureCookie or use SameSiteLaxMode"},
		{c.Partitioned && !c.Secure, "WithPartitioned",
			"browsers refuse Partitioned without Secure; drop WithInsecureCookie or WithPartitioned"},
		{c.Lifetime > 0 && c.IdleTimeout > c.Lifetime, "WithIdleTimeout",
			"an idle timeout does not exceed the lifetime; shorten it or raise WithLifetime"},
		{c.Flask && c.IdleTimeout > 0, "WithIdleTimeout",
			"Flask's cookie has no idle timeout; drop it or WithFlaskCookie"},
		{c.Flask && c.storeOption != "", "WithFlaskCookie",
			c.storeOption + " has chosen a store already; use one of the two"},
		{c.Flask && c.FlaskSecrets != nil, "WithFlaskMigration",
			"WithFlaskCookie stays with the cookie that this moves on from; use one of the two"},
		{c.CookieSecrets != nil && c.Flask, "WithCookieMigration",
			"WithFlaskCookie keeps sessions in Flask's cookie, and this moves them to a store; use one of the two"},
		{c.CookieSecrets != nil && !c.Flask && c.storeOption == "", "WithCookieMigration",
			"sessions stay in the encrypted cookie; add WithMemcached or WithStore, or, for a new secret, use WithPreviousSecrets"},
		{c.merging && (c.Flask || c.storeOption != ""), "WithMergeBuffer",
			"only encrypted cookies need it: a store merges by itself, and Flask's cookie has no id; drop it"},
		{c.prefixed && !strings.HasPrefix(c.storeOption, "WithMemcached"), "WithKeyPrefix",
			"only WithMemcached has keys here; another store has an option of its own, such as redisstore.WithKeyPrefix"},
		{c.timed && strings.HasPrefix(c.storeOption, "WithMemcached"), "WithStoreTimeout",
			c.storeOption + " has a limit of its own: 500ms, or the client's Timeout with WithMemcachedClient; drop it"},
		{c.timed && c.storeOption == "", "WithStoreTimeout",
			"sessions in a cookie need no store; drop it, or add WithStore"},
	}
	for _, r := range rules {
		if r.broken {
			c.wrong(r.option, r.reason)
		}
	}
}
