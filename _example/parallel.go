package main

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

const parallelRequests = 20

// The page sends many requests at once, and each sets a key of its own. All of
// them survive: on a server store always, and in the cookie within one process.
func addParallel(r gin.IRouter) {
	r.GET("/parallel", showParallel)
	r.POST("/parallel/set", setOne)
	r.GET("/parallel/kept", func(c *gin.Context) {
		c.Header("Cache-Control", "no-store")
		c.JSON(http.StatusOK, kept(ginsession.From(c)))
	})
	r.POST("/parallel/reset", resetParallel)
}

func showParallel(c *gin.Context) {
	numbers := kept(ginsession.From(c))
	cells := make([]bool, parallelRequests)
	for _, n := range numbers {
		cells[n-1] = true
	}
	show(c, "parallel.html", gin.H{"cells": cells, "kept": len(numbers)})
}

func setOne(c *gin.Context) {
	n, err := strconv.Atoi(c.PostForm("n"))
	if err != nil || n < 1 || n > parallelRequests {
		c.String(http.StatusBadRequest, "n is a number from 1 to %d", parallelRequests)
		return
	}
	ginsession.From(c).Set(parallelKey(n), true)
	time.Sleep(50 * time.Millisecond) // a handler with something to do
	c.Status(http.StatusNoContent)
}

func resetParallel(c *gin.Context) {
	s := ginsession.From(c)
	// Without this, a new visitor's 20 requests would begin 20 sessions.
	ginsession.Update(s, "parallel runs", func(n int) int { return n + 1 })
	for n := range parallelRequests {
		s.Delete(parallelKey(n + 1))
	}
	redirect(c, "/parallel")
}

// kept are the numbers of the requests whose key is in the session.
func kept(s *ginsession.Session) []int {
	numbers := []int{}
	for n := 1; n <= parallelRequests; n++ {
		if s.Has(parallelKey(n)) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func parallelKey(n int) string { return fmt.Sprintf("parallel %02d", n) }
