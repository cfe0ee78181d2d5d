package main

import (
	"strconv"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/gin-gonic/gin"
)

// startSCS wraps the whole of gin, as scs has it with other routers.
func startSCS(string) (app, error) {
	s := manager{scs.New()}
	s.Store = memstore.NewWithCleanupInterval(0) // the cleaning would hold on to the store for ever
	r := newEngine()
	r.GET(pathUntouched, route(nothing))
	r.GET(pathRead, route(s.read))
	r.GET(pathWrite, route(s.write))
	r.GET(pathFill, route(s.fill))
	r.GET(pathLogin, route(s.login))
	r.GET(pathAdd, route(s.add))
	r.GET(pathTake, route(s.take))
	r.GET(pathCount, func(c *gin.Context) {
		_, _ = c.Writer.WriteString(strconv.Itoa(s.GetInt(c.Request.Context(), keyCounter)))
	})
	return scsApp{httpApp{s.LoadAndSave(r)}, s}, nil
}

type scsApp struct {
	httpApp
	sessions manager
}

// forget takes a new store. Its sessions would go after a day.
func (a scsApp) forget() { a.sessions.Store = memstore.NewWithCleanupInterval(0) }

type manager struct{ *scs.SessionManager }

func (s manager) read(c *gin.Context) error {
	ctx := c.Request.Context()
	if s.GetInt64(ctx, keyUser) != userID || s.GetString(ctx, keyName) != userName {
		return errWrong
	}
	return nil
}

func (s manager) write(c *gin.Context) error {
	ctx := c.Request.Context()
	n := s.GetInt(ctx, keyCounter)
	if n < firstCount {
		return errWrong
	}
	s.Put(ctx, keyCounter, n+1)
	return nil
}

func (s manager) login(c *gin.Context) error {
	ctx := c.Request.Context()
	if err := s.RenewToken(ctx); err != nil {
		return err
	}
	s.Put(ctx, keyUser, userID)
	s.Put(ctx, keyName, userName)
	s.Put(ctx, flashKind, flashText)
	return nil
}

func (s manager) fill(c *gin.Context) error {
	ctx := c.Request.Context()
	s.Put(ctx, keyUser, userID)
	s.Put(ctx, keyName, userName)
	s.Put(ctx, keyRoles, roles)
	s.Put(ctx, keyToken, token)
	s.Put(ctx, keyCounter, firstCount)
	s.Put(ctx, flashKind, flashText)
	return nil
}

// add and take are how scs has messages for the next request.
func (s manager) add(c *gin.Context) error {
	s.Put(c.Request.Context(), flashKind, flashText)
	return nil
}

func (s manager) take(c *gin.Context) error {
	if s.PopString(c.Request.Context(), flashKind) != flashText {
		return errWrong
	}
	return nil
}
