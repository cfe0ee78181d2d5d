package ginsession_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// TestManager_log: without the option, only Gin's debug mode logs.
func TestManager_log(t *testing.T) {
	var byDefault, explicit bytes.Buffer
	before, mode := slog.Default(), gin.Mode()
	slog.SetDefault(slog.New(slog.NewTextHandler(&byDefault, nil)))
	defer func() { slog.SetDefault(before); gin.SetMode(mode) }()
	own, off := ginsession.WithLogger(slog.New(slog.NewTextHandler(&explicit, nil))), ginsession.WithLogger(nil)
	rows := []struct {
		mode              string
		opts              []ginsession.Option
		byDefault, logger int // lines
	}{
		{gin.DebugMode, nil, 1, 0},
		{gin.ReleaseMode, nil, 0, 0},
		{gin.TestMode, nil, 0, 0},
		{gin.DebugMode, []ginsession.Option{off}, 0, 0},
		{gin.ReleaseMode, []ginsession.Option{own}, 0, 1},
		{gin.DebugMode, []ginsession.Option{own}, 0, 1},
		{gin.DebugMode, []ginsession.Option{off, own}, 0, 1},
	}
	for _, row := range rows {
		byDefault.Reset()
		explicit.Reset()
		gin.SetMode(gin.TestMode) // otherwise gin prints its routes
		a := apptest.Mount(func(*gin.Context) { gin.SetMode(row.mode) }, apptest.Middleware(t, secret, row.opts...))
		a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/?do=set:a=1", nil)) // elsewhere, plain http is worth a line of its own
		lines := func(b *bytes.Buffer) int { return strings.Count(b.String(), "session changed") }
		if d, e := lines(&byDefault), lines(&explicit); d != row.byDefault || e != row.logger {
			t.Errorf("%s, %d options: got %d lines by default and %d to the logger, want %d and %d", row.mode, len(row.opts), d, e, row.byDefault, row.logger)
		}
	}
}

// logTo returns an option that logs to what lines returns: without times, and
// with every duration as "1ms".
func logTo() (opt ginsession.Option, lines func() []string) {
	var b bytes.Buffer
	tidy := func(_ []string, a slog.Attr) slog.Attr {
		switch {
		case a.Key == slog.TimeKey:
			return slog.Attr{}
		case a.Value.Kind() == slog.KindDuration:
			return slog.Duration(a.Key, time.Millisecond)
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: tidy}))
	return ginsession.WithLogger(logger), func() []string {
		defer b.Reset()
		return slices.DeleteFunc(strings.Split(b.String(), "\n"), func(line string) bool { return line == "" })
	}
}
