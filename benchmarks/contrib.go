package main

import (
	"strconv"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memcached"
	"github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"
)

// keys are an authentication key and an encryption key, of 32 bytes each: what
// gin-contrib/sessions and gorilla/sessions need to encrypt, as ginsession
// always does.
func keys() (authentication, encryption []byte) { return []byte(secret[:32]), []byte(secret[32:]) }

func startContribCookie(string) (app, error) {
	return newContrib(cookie.NewStore(keys())), nil
}

func startContribMemcached(addr string) (app, error) {
	authentication, encryption := keys()
	return newContrib(memcached.NewStore(memcache.New(addr), "", authentication, encryption)), nil
}

func startContribRedis(addr string) (app, error) {
	authentication, encryption := keys()
	store, err := redis.NewStore(10, "tcp", addr, "", "", authentication, encryption)
	if err != nil {
		return nil, err
	}
	return newContrib(store), nil
}

func newContrib(store sessions.Store) app {
	r := newEngine()
	r.Use(sessions.Sessions("session", store))
	r.GET(pathUntouched, route(nothing))
	r.GET(pathRead, route(contribRead))
	r.GET(pathWrite, route(contribWrite))
	r.GET(pathFill, route(contribFill))
	r.GET(pathLogin, route(contribLogin))
	r.GET(pathAdd, route(contribAdd))
	r.GET(pathTake, route(contribTake))
	r.GET(pathCount, func(c *gin.Context) {
		n, _ := sessions.Default(c).Get(keyCounter).(int)
		_, _ = c.Writer.WriteString(strconv.Itoa(n))
	})
	return httpApp{r}
}

func contribRead(c *gin.Context) error {
	s := sessions.Default(c)
	id, _ := s.Get(keyUser).(int64)
	name, _ := s.Get(keyName).(string)
	if id != userID || name != userName {
		return errWrong
	}
	return nil
}

func contribWrite(c *gin.Context) error {
	s := sessions.Default(c)
	n, ok := s.Get(keyCounter).(int)
	if !ok {
		return errWrong
	}
	s.Set(keyCounter, n+1)
	return s.Save()
}

// contribLogin has no id to renew: gin-contrib/sessions offers none.
func contribLogin(c *gin.Context) error {
	s := sessions.Default(c)
	s.Set(keyUser, userID)
	s.Set(keyName, userName)
	s.AddFlash(flashText, flashKind)
	return s.Save()
}

func contribFill(c *gin.Context) error {
	s := sessions.Default(c)
	s.Set(keyUser, userID)
	s.Set(keyName, userName)
	s.Set(keyRoles, roles)
	s.Set(keyToken, token)
	s.Set(keyCounter, firstCount)
	s.AddFlash(flashText, flashKind)
	return s.Save()
}

func contribAdd(c *gin.Context) error {
	s := sessions.Default(c)
	s.AddFlash(flashText, flashKind)
	return s.Save()
}

func contribTake(c *gin.Context) error {
	s := sessions.Default(c)
	if shown := s.Flashes(flashKind); len(shown) != 1 || shown[0] != flashText {
		return errWrong
	}
	return s.Save()
}
