package txn

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/cookie"
)

// roller is a storage of which only MayRoll is used.
type roller struct{ Storage }

func (roller) MayRoll(value string) bool { return strings.HasPrefix(value, "yes") }

// TestConfig_MayRoll: a storage is asked about the only cookie, and about no
// longer one than is loaded.
func TestConfig_MayRoll(t *testing.T) {
	for _, test := range []struct {
		storage Storage
		line    string
		want    bool
	}{
		{roller{}, "", false},
		{roller{}, "other=yes", false},
		{roller{}, "session=yes", true},
		{roller{}, "session=no", false},
		{roller{}, "session=no; session=no", true},
		{roller{}, "session=yes" + strings.Repeat("s", cookie.MaxLine-3), true},
		{roller{}, "session=yes" + strings.Repeat("s", cookie.MaxLine-2), false},
		{nil, "session=no", true},
		{nil, "", false},
	} {
		c := Config{Source: Source{Cookie: cookie.New(cookie.Attributes{Name: "session", Path: "/"}), Storage: test.storage}}
		if got := c.MayRoll(http.Header{"Cookie": {test.line}}); got != test.want {
			t.Errorf("%T, %.40q: got %t, want %t", test.storage, test.line, got, test.want)
		}
	}
}
