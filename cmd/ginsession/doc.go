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
// The command show opens a cookie with the secret in the environment variable
// SESSION_SECRET, and prints it as JSON: the kind of session, when it was
// created and when it expires, its keys, values and flash messages. If the
// session is in a store, the cookie holds only its id. Bytes are printed in
// base64, and numbers that JSON lacks as "NaN", "+Inf" and "-Inf". Characters
// without a glyph are escaped, among them control characters, zero-width
// characters and those that change the direction of text.
//
// The cookie is an argument or, better, standard input: shells store arguments
// in their history, and anyone who has the cookie is logged in. It is a bare
// value, name=value, or one whole Cookie or Set-Cookie line, of at most 1 MiB.
// If a line has several cookies, all that open are printed; up to 50 are
// tried.
//
// A cookie is bound to its name. A bare value is tried as __Host-session and as
// session, or as NAME with --name; in a line, --name chooses one of several
// cookies. A value with two dots in it is a Flask app's, as is any value with
// --flask. It holds no other time than when it was signed, and expires
// --lifetime after that, 744h by default.
//
// If no cookie opens, show prints the reason on standard error and exits with
// status 1; a mistake in the arguments or in the secret exits with status 2.
package main
