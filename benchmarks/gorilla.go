package main

import (
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/sessions"
)

func startGorillaCookie(string) (app, error) {
	g := gorilla{sessions.NewCookieStore(keys())}
	r := newEngine()
	r.GET(pathUntouched, route(nothing))
	r.GET(pathRead, route(g.read))
	r.GET(pathWrite, route(g.write))
	r.GET(pathFill, route(g.fill))
	r.GET(pathLogin, route(g.login))
	r.GET(pathAdd, route(g.add))
	r.GET(pathTake, route(g.take))
	r.GET(pathCount, g.count)
	return httpApp{r}, nil
}

type gorilla struct{ store *sessions.CookieStore }

func (g gorilla) session(c *gin.Context) (*sessions.Session, error) {
	return g.store.Get(c.Request, "session")
}

func (g gorilla) read(c *gin.Context) error {
	s, err := g.session(c)
	if err != nil {
		return err
	}
	id, _ := s.Values[keyUser].(int64)
	name, _ := s.Values[keyName].(string)
	if id != userID || name != userName {
		return errWrong
	}
	return nil
}

func (g gorilla) write(c *gin.Context) error {
	s, err := g.session(c)
	if err != nil {
		return err
	}
	n, ok := s.Values[keyCounter].(int)
	if !ok {
		return errWrong
	}
	s.Values[keyCounter] = n + 1
	return s.Save(c.Request, c.Writer)
}

func (g gorilla) login(c *gin.Context) error {
	s, err := g.session(c)
	if err != nil {
		return err
	}
	s.Values[keyUser] = userID
	s.Values[keyName] = userName
	s.AddFlash(flashText, flashKind)
	return s.Save(c.Request, c.Writer)
}

func (g gorilla) fill(c *gin.Context) error {
	s, err := g.session(c)
	if err != nil {
		return err
	}
	s.Values[keyUser] = userID
	s.Values[keyName] = userName
	s.Values[keyRoles] = roles
	s.Values[keyToken] = token
	s.Values[keyCounter] = firstCount
	s.AddFlash(flashText, flashKind)
	return s.Save(c.Request, c.Writer)
}

func (g gorilla) add(c *gin.Context) error {
	s, err := g.session(c)
	if err != nil {
		return err
	}
	s.AddFlash(flashText, flashKind)
	return s.Save(c.Request, c.Writer)
}

func (g gorilla) take(c *gin.Context) error {
	s, err := g.session(c)
	if err != nil {
		return err
	}
	if shown := s.Flashes(flashKind); len(shown) != 1 || shown[0] != flashText {
		return errWrong
	}
	return s.Save(c.Request, c.Writer)
}

func (g gorilla) count(c *gin.Context) {
	s, err := g.session(c)
	if err != nil {
		answer(c, err)
		return
	}
	n, _ := s.Values[keyCounter].(int)
	_, _ = c.Writer.WriteString(strconv.Itoa(n))
}
