package main

import (
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/redisstore"
)

// secret is that of every variant: 64 bytes, of which some use the halves.
const secret = "a secret of the benchmarks, 32 b" + "and an encryption key, 32 bytes."

func withFlaskCookie(string) ginsession.Option { return ginsession.WithFlaskCookie() }

func withRedis(addr string) ginsession.Option {
	return ginsession.WithStore(redisstore.Must(redisstore.Open("redis://" + addr)))
}

func withMemcached(addr string) ginsession.Option { return ginsession.WithMemcached(addr) }

// startOurs gives an app with ginsession and options that may need the address
// of the variant's server.
func startOurs(opts ...func(addr string) ginsession.Option) func(addr string) (app, error) {
	return func(addr string) (app, error) {
		var all []ginsession.Option
		for _, opt := range opts {
			all = append(all, opt(addr))
		}
		return newOurs(all...)
	}
}

func newOurs(opts ...ginsession.Option) (app, error) {
	h, err := ginsession.New(secret, opts...)
	if err != nil {
		return nil, err
	}
	r := newEngine()
	r.Use(h)
	r.GET(pathUntouched, route(nothing))
	r.GET(pathRead, route(oursRead))
	r.GET(pathWrite, route(oursWrite))
	r.GET(pathFill, route(oursFill))
	r.GET(pathLogin, route(oursLogin))
	r.GET(pathAdd, route(oursAdd))
	r.GET(pathTake, route(oursTake))
	r.GET(pathCount, func(c *gin.Context) {
		_, _ = c.Writer.WriteString(strconv.Itoa(ginsession.From(c).GetInt(keyCounter)))
	})
	return httpApp{r}, nil
}

func oursRead(c *gin.Context) error {
	s := ginsession.From(c)
	if s.GetInt64(keyUser) != userID || s.GetString(keyName) != userName {
		return errWrong
	}
	return nil
}

func oursWrite(c *gin.Context) error {
	s := ginsession.From(c)
	n := s.GetInt(keyCounter)
	if n < firstCount {
		return errWrong
	}
	s.Set(keyCounter, n+1)
	return nil
}

func oursLogin(c *gin.Context) error {
	s := ginsession.From(c)
	s.Renew()
	s.Set(keyUser, userID)
	s.Set(keyName, userName)
	s.AddFlash(flashText, flashKind)
	return nil
}

func oursFill(c *gin.Context) error {
	s := ginsession.From(c)
	s.Set(keyUser, userID)
	s.Set(keyName, userName)
	s.Set(keyRoles, roles)
	s.Set(keyToken, token)
	s.Set(keyCounter, firstCount)
	s.AddFlash(flashText, flashKind)
	return nil
}

func oursAdd(c *gin.Context) error {
	ginsession.From(c).AddFlash(flashText, flashKind)
	return nil
}

func oursTake(c *gin.Context) error {
	if shown := ginsession.From(c).Flashes(); len(shown) != 1 || shown[0].Message != flashText {
		return errWrong
	}
	return nil
}
