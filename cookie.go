package ginsession

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession/internal/cookie"
)

// WithName names the cookie. The default is "__Host-session" while the cookie
// is Secure with Path "/" and no Domain, else "session", which is also the
// default with [WithFlaskCookie]. Browsers restrict names with a prefix (RFC
// 6265bis, section 4.1.3); [New] refuses one whose conditions the other options
// do not meet.
//
// Cookies are bound to their name: of two middlewares with one secret and
// different names, none opens the other's. Flask's cookie is not, for its format
// has no place for a name: use two secrets there.
func WithName(name string) Option { return func(c *config) { c.Name, c.named = name, true } }

// WithPath limits the cookie to paths below path. The default is "/".
//
// If a path or a domain is added under a name that is in use, browsers keep the
// old cookie beside the new one and send both. Of those that are accepted, the
// session that began last wins; in a cookie, the one that was written last. At
// most 8 are loaded. If several came, a change or a log-out also expires the
// cookies without the domain and those of the path "/", and a log-out ends the
// sessions of all.
func WithPath(path string) Option { return func(c *config) { c.Path = path } }

// WithDomain sends the cookie to domain and all its subdomains. By default it
// goes to the host that set it and to no other. Every subdomain can then read
// the cookie and plant one. For cookies that were set without the domain see
// [WithPath].
func WithDomain(domain string) Option { return func(c *config) { c.Domain = domain } }

// WithSameSite says when the cookie goes along with requests that other sites
// start. The default is [http.SameSiteLaxMode]: only with navigation by a safe
// method. [http.SameSiteNoneMode] needs a Secure cookie and protection of your
// own against cross-site request forgery. [http.SameSiteDefaultMode] leaves
// the attribute out and the choice to the browser.
func WithSameSite(mode http.SameSite) Option { return func(c *config) { c.SameSite = mode } }

// WithPartitioned gives each top-level site that embeds yours a cookie jar of
// its own (CHIPS). It needs a Secure cookie. The default is off.
func WithPartitioned() Option { return func(c *config) { c.Partitioned = true } }

// WithInsecureCookie leaves out the Secure attribute, so that the cookie
// travels over plain http, readable and replaceable by anyone on the way.
// It is for development if the browser does not accept Secure cookies from
// http://localhost (Safari), or beyond localhost. Without it, Gin's debug mode
// logs one warning when a cookie is set on a request over plain http to a host
// that is not a loopback address: the browser drops it.
func WithInsecureCookie() Option { return func(c *config) { c.Secure = false } }

// WithScriptAccess leaves out the HttpOnly attribute, so that scripts in the
// page, those of an attacker too, can read the cookie.
func WithScriptAccess() Option { return func(c *config) { c.HTTPOnly = false } }

// attributes returns those of the session's cookie.
func (c *config) attributes() cookie.Attributes {
	return cookie.Attributes{
		Name: c.Name, Path: c.Path, Domain: c.Domain,
		Secure: c.Secure, HTTPOnly: c.HTTPOnly, Partitioned: c.Partitioned, SameSite: c.SameSite,
	}
}

func (c *config) defaultName() string {
	if c.Secure && c.Path == "/" && c.Domain == "" && !c.Flask {
		return "__Host-session"
	}
	return flaskName
}

// hasPrefixFold is [strings.HasPrefix] in any letter case, as browsers compare
// these prefixes.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// isAttributeText reports whether s can stand in an attribute of a cookie.
func isAttributeText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == ';' })
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
