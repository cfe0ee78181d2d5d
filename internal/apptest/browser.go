package apptest

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
)

// Browser sends requests to a handler and keeps the cookies that it sets: one
// for each name, domain, path, and whether it had a Domain at all (RFC 6265bis,
// section 5.7). It sends Secure cookies over plain http, too. It is for one goroutine; see [Browser.Clone].
type Browser struct {
	Handler http.Handler
	Host    string           // of its requests, "example.com" by default
	Now     func() time.Time // for Max-Age and Expires; nil is [time.Now]

	jar []jarCookie
}

type jarCookie struct {
	*http.Cookie
	hostOnly bool
	expires  time.Time // zero: with the browser window
}

// Response is what a request was answered with.
type Response struct {
	*httptest.ResponseRecorder
	Errors []error // c.Errors at the end of the request, if the handler is an [App]
}

// NewBrowser returns a browser without cookies.
func NewBrowser(h http.Handler) *Browser { return &Browser{Handler: h, Host: "example.com"} }

// Clone returns another browser with a copy of the cookies.
func (b *Browser) Clone() *Browser {
	clone := *b
	clone.jar = slices.Clone(b.jar)
	return &clone
}

// Join adds the cookies of another browser, as if it had got them after its own
// and under a domain or path that those do not have.
func (b *Browser) Join(other *Browser) { b.jar = append(slices.Clone(b.jar), other.jar...) }

// Get requests path, which may have a query.
func (b *Browser) Get(path string) *Response {
	return b.Do(httptest.NewRequest(http.MethodGet, path, http.NoBody))
}

// Post is [Browser.Get] with the method POST.
func (b *Browser) Post(path string) *Response {
	return b.Do(httptest.NewRequest(http.MethodPost, path, http.NoBody))
}

// Do sends a request with the cookies that it gets, and keeps those that come
// back.
func (b *Browser) Do(req *http.Request) *Response {
	resp := b.Send(req)
	b.Take(req, resp)
	return resp
}

// Send is [Browser.Do] but for the cookies that come back: a test may have
// responses arrive in any order with [Browser.Take].
func (b *Browser) Send(req *http.Request) *Response {
	if b.Host != "" {
		req.Host = b.Host
	}
	for _, k := range b.CookiesFor(req) {
		req.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value})
	}
	resp := &Response{ResponseRecorder: httptest.NewRecorder()}
	b.Handler.ServeHTTP(resp, req.WithContext(context.WithValue(req.Context(), errorsKey{}, &resp.Errors)))
	return resp
}

// Take keeps the cookies of a response.
func (b *Browser) Take(req *http.Request, resp *Response) {
	for _, k := range resp.Result().Cookies() {
		b.keep(k, req)
	}
}

// keep stores one cookie in place of the one with its name, domain and path.
func (b *Browser) keep(k *http.Cookie, req *http.Request) {
	c := jarCookie{Cookie: k, hostOnly: k.Domain == "", expires: k.Expires}
	k.Domain = strings.TrimPrefix(cmp.Or(k.Domain, hostname(req)), ".")
	if !strings.HasPrefix(k.Path, "/") {
		k.Path = cmp.Or(req.URL.Path[:strings.LastIndexByte(req.URL.Path, '/')], "/")
	}
	if k.MaxAge != 0 {
		c.expires = b.now().Add(time.Duration(k.MaxAge) * time.Second)
	}
	same := func(old jarCookie) bool {
		return old.Name == k.Name && old.Domain == k.Domain && old.Path == k.Path && old.hostOnly == c.hostOnly
	}
	i := slices.IndexFunc(b.jar, same)
	b.jar = slices.Clone(b.jar)
	switch {
	case c.dead(b.now()):
		b.jar = slices.DeleteFunc(b.jar, same)
	case i >= 0:
		b.jar[i] = c // it keeps its place: RFC 6265, section 5.3, step 11
	default:
		b.jar = append(b.jar, c)
	}
}

// CookiesFor returns the cookies that go with req, those of longer paths first,
// then the older ones (RFC 6265, section 5.4).
func (b *Browser) CookiesFor(req *http.Request) (cookies []*http.Cookie) {
	host := hostname(req)
	for _, c := range b.jar {
		domain := host == c.Domain || !c.hostOnly && strings.HasSuffix(host, "."+c.Domain)
		path := req.URL.Path == c.Path || strings.HasPrefix(req.URL.Path, strings.TrimSuffix(c.Path, "/")+"/")
		if domain && path && !c.dead(b.now()) {
			cookies = append(cookies, c.Cookie)
		}
	}
	slices.SortStableFunc(cookies, func(a, b *http.Cookie) int { return cmp.Compare(len(b.Path), len(a.Path)) })
	return cookies
}

// Cookies returns all cookies, oldest first.
func (b *Browser) Cookies() (cookies []*http.Cookie) {
	for _, c := range b.jar {
		if !c.dead(b.now()) {
			cookies = append(cookies, c.Cookie)
		}
	}
	return cookies
}

// CloseWindow drops the cookies that go with the browser window.
func (b *Browser) CloseWindow() {
	b.jar = slices.DeleteFunc(slices.Clone(b.jar), func(c jarCookie) bool { return c.expires.IsZero() })
}

// SetCookies returns the Set-Cookie lines of name in the response.
func (r *Response) SetCookies(name string) (lines []string) {
	for _, line := range r.Header()["Set-Cookie"] {
		if strings.HasPrefix(line, name+"=") {
			lines = append(lines, line)
		}
	}
	return lines
}

func (b *Browser) now() time.Time {
	if b.Now == nil {
		return time.Now()
	}
	return b.Now()
}

func (c *jarCookie) dead(now time.Time) bool {
	return c.MaxAge < 0 || !c.expires.IsZero() && !now.Before(c.expires)
}

func hostname(req *http.Request) string {
	host, _, _ := strings.Cut(req.Host, ":")
	return host
}
