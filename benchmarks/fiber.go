package main

import (
	"strconv"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
)

func startFiber(string) (app, error) {
	r := fiber.New()
	handler, store := session.NewWithStore()
	r.Use(handler)
	r.Get(pathUntouched, fiberRoute(func(*session.Middleware) error { return nil }))
	r.Get(pathRead, fiberRoute(fiberRead))
	r.Get(pathWrite, fiberRoute(fiberWrite))
	r.Get(pathFill, fiberRoute(fiberFill))
	r.Get(pathLogin, fiberRoute(fiberLogin))
	r.Get(pathAdd, fiberRoute(fiberAdd))
	r.Get(pathTake, fiberRoute(fiberTake))
	r.Get(pathCount, func(c fiber.Ctx) error {
		n, _ := session.FromContext(c).Get(keyCounter).(int)
		return c.SendString(strconv.Itoa(n))
	})
	return fiberApp{r, store}, nil
}

func fiberRoute(do func(*session.Middleware) error) fiber.Handler {
	return func(c fiber.Ctx) error {
		if err := do(session.FromContext(c)); err != nil {
			return err // status 500
		}
		return c.SendString("")
	}
}

func fiberRead(s *session.Middleware) error {
	id, _ := s.Get(keyUser).(int64)
	name, _ := s.Get(keyName).(string)
	if id != userID || name != userName {
		return errWrong
	}
	return nil
}

func fiberWrite(s *session.Middleware) error {
	n, ok := s.Get(keyCounter).(int)
	if !ok {
		return errWrong
	}
	s.Set(keyCounter, n+1)
	return nil
}

func fiberLogin(s *session.Middleware) error {
	if err := s.Regenerate(); err != nil {
		return err
	}
	s.Set(keyUser, userID)
	s.Set(keyName, userName)
	s.Set(flashKind, flashText)
	return nil
}

func fiberFill(s *session.Middleware) error {
	s.Set(keyUser, userID)
	s.Set(keyName, userName)
	s.Set(keyRoles, roles)
	s.Set(keyToken, token)
	s.Set(keyCounter, firstCount)
	s.Set(flashKind, flashText)
	return nil
}

// fiberAdd and fiberTake do by hand what a flash is: sessions of Fiber have
// none.
func fiberAdd(s *session.Middleware) error {
	s.Set(flashKind, flashText)
	return nil
}

func fiberTake(s *session.Middleware) error {
	if s.Get(flashKind) != flashText {
		return errWrong
	}
	s.Delete(flashKind)
	return nil
}
