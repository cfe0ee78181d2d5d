package main

import (
	"errors"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/go-playground/validator/v10"

	"github.com/ginsession/ginsession"
)

// Address is the form of the last step before an order. The form tag names
// the field in the page, the binding tag its rules.
type Address struct {
	Name   string `form:"name"   json:"name"   binding:"required,max=60"`
	Street string `form:"street" json:"street" binding:"required,max=60"`
	City   string `form:"city"   json:"city"   binding:"required,max=60"`
	Email  string `form:"email"  json:"email"  binding:"required,email,max=60"`
}

func addCheckout(r gin.IRouter) {
	r.GET("/checkout", showCheckout)
	r.POST("/checkout", checkout)
}

func showCheckout(c *gin.Context) {
	s := ginsession.From(c)
	rows, total := cart(s)
	if len(rows) == 0 {
		reject(c, "/cart", "Your cart is empty.")
		return
	}
	address, _ := ginsession.Get[Address](s, "address")
	show(c, "checkout.html", gin.H{"address": address, "cart": rows, "total": total})
}

func checkout(c *gin.Context) {
	s := ginsession.From(c)
	rows, total := cart(s)
	if len(rows) == 0 {
		reject(c, "/cart", "Your cart is empty.")
		return
	}
	var address Address
	err := c.ShouldBind(&address)
	s.Set("address", address.trimmed()) // also with mistakes: nobody types it all again
	if err != nil {
		for _, complaint := range complaints(err) {
			s.AddFlash(complaint, "error")
		}
		redirect(c, "/checkout")
		return
	}
	s.Delete("cart")
	s.AddFlash("Thank you. Your order of "+price(total)+" is on its way.", "success")
	redirect(c, "/cart")
}

// trimmed is what of the address goes into the session: valid UTF-8, and not
// more than a cookie has room for.
func (a Address) trimmed() Address {
	for _, s := range []*string{&a.Name, &a.Street, &a.City, &a.Email} {
		*s = strings.ToValidUTF8((*s)[:min(len(*s), 240)], "")
	}
	return a
}

var labels = map[string]string{
	"Name":   "your name",
	"Street": "street and number",
	"City":   "postcode and city",
	"Email":  "your e-mail address",
}

// complaints returns what is wrong with a form, a sentence for each field.
func complaints(err error) []string {
	var failed validator.ValidationErrors
	if !errors.As(err, &failed) {
		return []string{"The form could not be read. Please try again."}
	}
	var all []string
	for _, f := range failed {
		label := labels[f.Field()]
		switch f.Tag() {
		case "required":
			all = append(all, "Please fill in "+label+".")
		case "email":
			all = append(all, "Please check "+label+": it looks like name@example.com.")
		default: // max
			all = append(all, "Please shorten "+label+" to "+f.Param()+" letters.")
		}
	}
	return all
}
