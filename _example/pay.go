package main

import (
	"math"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

const (
	weeksInYear = 52
	hoursInWeek = 168
	maxWage     = 1_000_000
)

// The pay calculator asks in two steps; the session carries the first answer
// to the second.
func addPay(r gin.IRouter) {
	r.GET("/wage", func(c *gin.Context) {
		show(c, "wage.html", gin.H{"wage": ginsession.From(c).GetFloat64("wage")})
	})
	r.POST("/wage", setWage)
	r.GET("/pay", askHours)
	r.POST("/pay", showPay)
}

func setWage(c *gin.Context) {
	wage, ok := number(c, "wage", maxWage)
	if !ok {
		reject(c, "/wage", "Enter your wage for an hour as a number, such as 12.50.")
		return
	}
	ginsession.From(c).Set("wage", wage)
	redirect(c, "/pay")
}

func askHours(c *gin.Context) {
	wage, ok := ginsession.Get[float64](ginsession.From(c), "wage")
	if !ok {
		reject(c, "/wage", "Enter your wage first.")
		return
	}
	show(c, "pay.html", gin.H{"wage": wage})
}

func showPay(c *gin.Context) {
	wage, ok := ginsession.Get[float64](ginsession.From(c), "wage")
	if !ok {
		reject(c, "/wage", "Enter your wage first.")
		return
	}
	hours, ok := number(c, "hours", hoursInWeek)
	if !ok {
		reject(c, "/pay", "Enter the hours of your week as a number up to 168.")
		return
	}
	show(c, "pay.html", gin.H{
		"wage": wage, "hours": hours, "week": wage * hours, "year": wage * hours * weeksInYear,
	})
}

// number reads a positive number up to most, with a point or a comma.
func number(c *gin.Context, name string, most float64) (float64, bool) {
	n, err := strconv.ParseFloat(strings.ReplaceAll(field(c, name), ",", "."), 64)
	return n, err == nil && n > 0 && n <= most // NaN compares false
}

// amount is n to the cent, without a fraction if there is none.
func amount(n float64) string {
	if n = math.Round(n*100) / 100; n == math.Trunc(n) {
		return strconv.FormatFloat(n, 'f', 0, 64)
	}
	return strconv.FormatFloat(n, 'f', 2, 64)
}
