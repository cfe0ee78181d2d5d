package ginsession_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
)

func TestNew_flaskMistakes(t *testing.T) {
	const s15, s16 = "secret-of-15-by", "secret-of-16-byt"
	flask := ginsession.WithFlaskCookie()
	for _, tt := range []struct {
		name   string
		secret string
		opts   []ginsession.Option
		want   []string // the options in the mistakes
	}{
		{"cookie", secret, []ginsession.Option{flask}, nil},
		{"cookie, 16 bytes", s16, []ginsession.Option{flask}, nil},
		{"cookie, 15 bytes", s15, []ginsession.Option{flask}, []string{"secret"}},
		{"15 runes of 16 bytes", s15[:14] + "é", []ginsession.Option{flask}, nil},
		{"16 bytes without Flask", s16, nil, []string{"secret"}},
		{"previous, 16 bytes", s16, []ginsession.Option{flask, ginsession.WithPreviousSecrets(s16)}, nil},
		{"previous, 15 bytes", s16, []ginsession.Option{flask, ginsession.WithPreviousSecrets(s16, s15)}, []string{"WithPreviousSecrets"}},
		{"lifetime and name", s16, []ginsession.Option{flask, ginsession.WithLifetime(time.Hour), ginsession.WithName("x")}, nil},
		{"memcached", secret, []ginsession.Option{flask, ginsession.WithMemcached("127.0.0.1:1")}, []string{"WithFlaskCookie"}},
		{"memcached first", secret, []ginsession.Option{ginsession.WithMemcached("127.0.0.1:1"), flask}, []string{"WithFlaskCookie"}},
		{"store", secret, []ginsession.Option{flask, ginsession.WithStore(struct{ ginsession.Store }{})}, []string{"WithFlaskCookie"}},
		{"idle timeout", secret, []ginsession.Option{flask, ginsession.WithIdleTimeout(time.Hour)}, []string{"WithIdleTimeout"}},
		{"migration", secret, []ginsession.Option{ginsession.WithFlaskMigration(s16, s16)}, nil},
		{"migration, with idle timeout", secret, []ginsession.Option{ginsession.WithFlaskMigration(s16), ginsession.WithIdleTimeout(time.Hour)}, nil},
		{"migration, 15 bytes", secret, []ginsession.Option{ginsession.WithFlaskMigration(s15)}, []string{"WithFlaskMigration"}},
		{"migration, empty", secret, []ginsession.Option{ginsession.WithFlaskMigration("")}, []string{"WithFlaskMigration"}},
		{"migration, previous, 15 bytes", secret, []ginsession.Option{ginsession.WithFlaskMigration(s16, s16, s15)}, []string{"WithFlaskMigration"}},
		{"migration with a short secret of ours", s16, []ginsession.Option{ginsession.WithFlaskMigration(s16)}, []string{"secret"}},
		{"both", secret, []ginsession.Option{flask, ginsession.WithFlaskMigration(s16)}, []string{"WithFlaskMigration"}},
		{"all at once", s15, []ginsession.Option{
			flask, ginsession.WithPreviousSecrets(s15), ginsession.WithFlaskMigration(s15),
			ginsession.WithMemcached("127.0.0.1:1"), ginsession.WithIdleTimeout(time.Hour),
		}, []string{"WithFlaskCookie", "WithFlaskMigration", "WithFlaskMigration", "WithIdleTimeout", "WithPreviousSecrets", "secret"}},
	} {
		_, err := ginsession.New(tt.secret, tt.opts...)
		var got []string
		if err != nil {
			if strings.Contains(err.Error(), s15[:14]) {
				t.Errorf("%s: the error shows a secret: %v", tt.name, err)
			}
			for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
				var mistake *ginsession.ConfigError
				if !errors.As(one, &mistake) {
					t.Fatalf("%s: got %T", tt.name, one)
				}
				got = append(got, mistake.Option)
			}
		}
		if slices.Sort(got); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v (%v), want %v", tt.name, got, err, tt.want)
		}
	}
}
