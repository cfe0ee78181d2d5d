// Ginsession makes secrets, and shows what is in a session's cookie.
//
//	ginsession secret
//	ginsession show [--flask] [--name NAME] [--lifetime DURATION] [cookie]
//
// It needs no installation:
//
//	go run github.com/ginsession/ginsession/cmd/ginsession@latest secret
//
// # Secret
//
// The command secret prints 32 random bytes in base64, for
// [github.com/ginsession/ginsession.New].
//
// # Show
//
// The command show opens a cookie with the secret that it finds in the
// environment variable SESSION_SECRET, and prints what it holds as JSON: the
// kind of session, when it began and when it ends, its keys, values and flash
// messages. Of a session that is kept on a server only the id is in the
// cookie. Bytes are shown in base64, and numbers that JSON lacks as "NaN",
// "+Inf" and "-Inf".
//
// The cookie is an argument or, better, comes from standard input: shells
// remember arguments, and whoever has a cookie is logged in. It can be a bare
// value, name=value, a Cookie or Set-Cookie line, or the lines in which curl or
// a browser's developer tools show one. Where there are several cookies, all
// that open are shown.
//
// A cookie is bound to its name. A bare value is tried as __Host-session and as
// session, unless --name gives another; otherwise --name chooses among
// several. A value with two dots in it is that of a Flask app, as is any with
// --flask; what is known of its age is when it was signed, and it is good for
// --lifetime, 744h by default, from then on.
//
// A cookie that does not open gives the reason on standard error and the exit
// status 1; a mistake in the arguments or in the secret gives 2.
package main
