package response_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// TestWithResponseBuffer sets a key after a body: it is kept while the body is
// held back, and late once it has left.
func TestWithResponseBuffer(t *testing.T) {
	rows := []struct {
		name string
		opts []ginsession.Option
		body int // bytes
		late bool
	}{
		{"default, 200 KiB", nil, 200 << 10, false},
		{"default, 257 KiB", nil, 257 << 10, true},
		{"1000, 999", []ginsession.Option{ginsession.WithResponseBuffer(1000)}, 999, false},
		{"1000, 1001", []ginsession.Option{ginsession.WithResponseBuffer(1000)}, 1001, true},
		{"1 MiB, 900 KiB", []ginsession.Option{ginsession.WithResponseBuffer(1 << 20)}, 900 << 10, false},
		{"0, none", []ginsession.Option{ginsession.WithResponseBuffer(0)}, 0, false},
		{"0, 1", []ginsession.Option{ginsession.WithResponseBuffer(0)}, 1, true},
		{"the last one wins", []ginsession.Option{ginsession.WithResponseBuffer(0), ginsession.WithResponseBuffer(10)}, 5, false},
	}
	for _, row := range rows {
		for _, chunk := range []int{1 << 30, 512} {
			a := newApp(t, row.opts...)
			a.GET("/page", func(c *gin.Context) {
				c.Status(http.StatusOK)
				for left := row.body; left > 0; left -= min(left, chunk) {
					_, _ = c.Writer.WriteString(strings.Repeat("x", min(left, chunk)))
				}
				ginsession.From(c).Set("a", "1")
			})
			b := apptest.NewBrowser(a)
			w := b.Get("/page")
			late := len(w.Errors) == 1 && errors.Is(w.Errors[0], ginsession.ErrLate)
			if late != row.late || !row.late && w.Errors != nil || w.Code != http.StatusOK || w.Body.Len() != row.body {
				t.Errorf("%s: got %d, %d bytes and %v, want 200, %d and ErrLate: %v", row.name, w.Code, w.Body.Len(), w.Errors, row.body, row.late)
			}
			if kept := slices.Contains(sees(b), "a=1"); kept == row.late {
				t.Errorf("%s: kept: %v, want %v", row.name, kept, !row.late)
			}
		}
	}
}

func TestWithResponseBuffer_mistakes(t *testing.T) {
	for size, ok := range map[int]bool{0: true, 1: true, 1 << 30: true, -1: false, -1 << 20: false} {
		_, err := ginsession.New(apptest.Secret, ginsession.WithResponseBuffer(size))
		var mistake *ginsession.ConfigError
		if got := errors.As(err, &mistake); got == ok || got && mistake.Option != "WithResponseBuffer" {
			t.Errorf("%d: got %v, want a *ConfigError of WithResponseBuffer: %v", size, err, !ok)
		}
	}
}
