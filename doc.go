// Package ginsession gives Gin web apps the sessions of Flask: a dictionary
// for each browser, with typed getters and flash messages, that is saved by
// itself.
//
//	r := gin.Default()
//	r.Use(ginsession.Must(ginsession.New(os.Getenv("SESSION_SECRET"))))
//
//	r.POST("/login", func(c *gin.Context) {
//		s := ginsession.From(c)
//		s.Renew() // at every change of privilege
//		s.Set("user_id", 42)
//		s.AddFlash("Welcome back", "success")
//		c.Redirect(http.StatusSeeOther, "/")
//	})
//
// # Saving
//
// The response is held back until the handler returns, flushes, hijacks the
// connection or has written 64 KiB. Then the session is saved, the headers go,
// and the rest of the response passes straight through. So a change that comes
// after c.JSON, in a middleware after c.Next or in a template is kept, and
// nothing has to be called. A handler that panics saves nothing. Where saving
// fails, the client gets an error page in place of the handler's response, and
// what was stored before is intact.
//
// Nothing is read before the first use, nothing is written without a change,
// and an empty session is never stored.
//
// # Where sessions are kept
//
// In an encrypted cookie, unless an option says otherwise: [WithMemcached] and
// [WithStore] keep them on a server, and the cookie carries a sealed id;
// [WithFlaskCookie] shares the cookie of a Flask app. A store for Redis and
// Valkey is in the module github.com/ginsession/ginsession/redisstore.
//
// On a server, parallel requests keep each other's work. A request saves what
// it did, not what it saw: on a conflict its changes are done again on the
// newer session. A store that does not answer gives status 503, never an
// anonymous session.
//
// # Security
//
// Cookies are Secure, HttpOnly, SameSite=Lax and bound to the host by the name
// __Host-session. Their content is encrypted and authenticated with
// XChaCha20-Poly1305 under a key that HKDF-SHA-256 derives from the secret;
// the cookie's name, the time of creation and the expiry are bound to it. A
// cookie that is forged, damaged or expired gives a fresh session, and
// [Session.Rejected] says why.
//
// What an encrypted cookie cannot do: be taken back. [Session.Destroy] expires
// the browser's cookie, but a copy that was made before is good until its
// lifetime is over. And with parallel requests from one browser the last
// response wins, because a cookie has nobody to merge changes.
package ginsession
