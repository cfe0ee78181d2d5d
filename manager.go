package ginsession

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession/internal/cookie"
	"github.com/ginsession/ginsession/internal/cookiestore"
	"github.com/ginsession/ginsession/internal/recordstore"
	"github.com/ginsession/ginsession/internal/response"
	"github.com/ginsession/ginsession/internal/txn"
)

// manager is what all requests of one middleware share. It holds the keys that
// were derived from the secrets, and not the secrets.
type manager struct {
	txn        txn.Config
	response   response.Config
	contextKey any  // in an interface once and not in each request
	commonKey  bool // it is Key
	inRequest  bool // the request's context has the session, too
	flaskForm  bool // times are encoded as Flask does
	logger     *slog.Logger
	unlogged   bool // WithLogger(nil)
	secure     bool // the cookie is
	warned     atomic.Bool
	passes     passes
}

func newManager(c *config) (*manager, error) {
	m := &manager{
		contextKey: c.ContextKey,
		commonKey:  c.ContextKey == Key,
		inRequest:  c.inRequest,
		flaskForm:  c.Flask,
		logger:     c.logger,
		unlogged:   c.unlogged,
		secure:     c.Secure,
		response:   response.Config{Limit: c.ResponseBuffer, OnError: c.errorHandler},
	}
	policy := txn.Policy{Lifetime: c.Lifetime, IdleTimeout: c.IdleTimeout, Permanent: c.Permanent}
	m.txn = txn.Config{Policy: policy, InCookie: c.store == nil, Rolling: c.Flask, Replayed: c.store != nil || !c.Flask && c.MergeBuffer > 0}
	k := cookie.New(c.attributes())
	m.txn.Cookie = k
	var err error
	switch {
	case c.store != nil:
		m.txn.Storage, err = recordstore.New(c.store, c.callTimeout(), policy, k, c.secrets())
	case c.Flask:
		m.txn.Storage = cookiestore.NewFlask(policy, k, c.secrets())
	default:
		m.txn.Storage, err = cookiestore.NewSealed(policy, k, c.secrets(), c.MergeBuffer)
	}
	if err != nil {
		return nil, err
	}
	if m.txn.Imports, err = c.imports(policy, k); err != nil {
		return nil, err
	}
	if valid := c.validator; valid != nil {
		m.txn.Validate = func(ctx context.Context, view *txn.Txn) (bool, error) {
			return valid(ctx, &Session{m: m, txn: view})
		}
	}
	return m, nil
}

// imports returns where sessions are taken over from that did not come with the
// middleware's own cookie.
func (c *config) imports(policy txn.Policy, k cookie.Cookie) (sources []txn.Source, err error) {
	if c.CookieSecrets != nil {
		sealed, err := cookiestore.NewSealed(policy, k, c.CookieSecrets, 0) // only reads: nothing to merge
		if err != nil {
			return nil, err
		}
		sources = append(sources, txn.Source{Cookie: k, Storage: sealed})
	}
	if c.FlaskSecrets != nil {
		attributes := c.attributes()
		attributes.Name = flaskName
		k := cookie.New(attributes)
		sources = append(sources, txn.Source{Cookie: k, Storage: cookiestore.NewFlask(policy, k, c.FlaskSecrets), Foreign: true})
	}
	return sources, nil
}

// log returns the logger, or nil if nothing is to be logged.
func (m *manager) log() *slog.Logger {
	switch {
	case m.logger != nil:
		return m.logger
	case m.unlogged || !gin.IsDebugging():
		return nil
	}
	return slog.Default()
}

func (m *manager) newTrace() *txn.Trace {
	if m.log() == nil {
		return nil
	}
	return new(txn.Trace)
}

// warnPlain warns once, in debug mode, of a Secure cookie that has left for a
// host whose browsers drop it: over plain http, and not loopback.
func (m *manager) warnPlain(r *http.Request) {
	if !m.secure || !gin.IsDebugging() || m.unlogged || !isPlain(r.TLS, r.Header, r.Host) || m.warned.Swap(true) {
		return
	}
	m.log().LogAttrs(r.Context(), slog.LevelWarn, "session cookie is Secure, but the request came over plain http: the browser drops it; "+
		"use https, tell the proxy to send X-Forwarded-Proto: https, or add WithInsecureCookie",
		slog.String("cookie", m.txn.Cookie.Name), slog.String("host", r.Host))
}

// isPlain reports whether a request seems to have come over plain http from
// another machine.
func isPlain(state *tls.ConnectionState, h http.Header, host string) bool {
	if state != nil || strings.EqualFold(h.Get("X-Forwarded-Proto"), "https") || h.Get("Forwarded") != "" {
		return false
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

// passes are the sessions to be found again in a second pass through
// [gin.Engine.HandleContext], which forgets all that a [gin.Context] holds.
// Those are few, so that all other requests only look at their number.
type passes struct {
	n    atomic.Int64
	mu   sync.Mutex
	open map[*gin.Context]*Session
}

func (p *passes) add(c *gin.Context, s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = map[*gin.Context]*Session{}
	}
	p.open[c] = s
	p.n.Store(int64(len(p.open)))
}

func (p *passes) find(c *gin.Context) *Session {
	if p.n.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[c]
}

func (p *passes) remove(c *gin.Context) {
	if p.n.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	p.n.Store(int64(len(p.open)))
}
