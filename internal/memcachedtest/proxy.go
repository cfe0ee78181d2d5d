package memcachedtest

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/servertest"
)

// Proxy names a request by its first line.
type Proxy = servertest.Proxy

// Reply is what a proxy sends in place of the server's reply.
type Reply = servertest.Reply

// StartProxy runs a proxy for a server on TCP until the test ends.
func StartProxy(tb testing.TB, server string) *Proxy {
	tb.Helper()
	return servertest.StartProxy(tb, server, servertest.Protocol{
		ReadRequest: readRequest,
		ReadReply:   readReply,
		Name: func(request []byte) string {
			line, _, _ := strings.Cut(string(request), "\r\n")
			return line
		},
	})
}

// readRequest reads a line and, for the storage verbs, the data behind it.
func readRequest(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(line))
	if len(fields) < 5 { // get, delete, version
		return line, nil
	}
	return readData(in, line, fields[4])
}

// readReply reads all of a reply.
func readReply(in *bufio.Reader) ([]byte, error) {
	var reply []byte
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		reply = append(reply, line...)
		if !bytes.HasPrefix(line, []byte("VALUE ")) {
			return reply, nil
		}
		if reply, err = readData(in, reply, strings.Fields(string(line))[3]); err != nil {
			return nil, err
		}
	}
}

func readData(in *bufio.Reader, before []byte, length string) ([]byte, error) {
	n, err := strconv.Atoi(length)
	if err != nil {
		return nil, err
	}
	data := make([]byte, n+len("\r\n"))
	_, err = io.ReadFull(in, data)
	return append(before, data...), err
}
