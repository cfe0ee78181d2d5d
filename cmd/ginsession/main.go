package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"os"
)

const usage = `usage:
  ginsession secret            print a good secret
  ginsession show [cookie]     print what is in a session's cookie, as JSON

show opens it with the secret in the environment variable SESSION_SECRET. The
cookie is an argument or standard input: its value, name=value, or one whole
Cookie or Set-Cookie line.
  --name NAME          the cookie's name: __Host-session or session by default
  --flask              the cookie is a Flask app's
  --lifetime DURATION  the lifetime of a Flask app's cookie: 744h by default
`

const (
	statusFailed = 1
	statusUsage  = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run does what the arguments say and returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	if len(args) == 0 {
		_, _ = io.WriteString(stderr, usage)
		return statusUsage
	}
	switch args[0] {
	case "secret":
		if len(args) == 1 {
			return printSecret(stdout)
		}
	case "show":
		return show(args[1:], stdin, stdout, stderr, getenv)
	case "-h", "-help", "--help", "help":
		_, _ = io.WriteString(stdout, usage)
		return 0
	}
	_, _ = io.WriteString(stderr, usage)
	return statusUsage
}

func printSecret(stdout io.Writer) int {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	if _, err := fmt.Fprintln(stdout, base64.StdEncoding.EncodeToString(secret)); err != nil {
		return statusFailed
	}
	return 0
}
