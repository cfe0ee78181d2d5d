package main

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ginsession/ginsession"
)

// A part is a step of what reading a session from an encrypted cookie takes,
// done by hand after the steps before it.
type part struct {
	About string
	job   *job
}

// Micro is the time of all steps so far.
func (p *part) Micro() float64 { return p.job.ns() / 1000 }

// measureParts measures what a read cannot do without, whoever does it, and
// then the whole of it.
func measureParts(m method) (all []*part, err error) {
	a, err := newOurs()
	if err != nil {
		return nil, err
	}
	session, err := logIn(a)
	if err != nil {
		return nil, err
	}
	b, err := newByHand(session)
	if err != nil {
		return nil, err
	}
	steps := []struct {
		about string
		do    func(*gin.Context) error
	}{
		{"gin, no session", nothing},
		{"a value is put into the `gin.Context` and found there", b.context},
		{"the cookie is found, and its base64 is read", b.decode},
		{"XChaCha20-Poly1305 opens it", b.open},
		{"the plaintext gets memory of its own, the clock is read, `Vary` is set", b.finish},
	}
	var do []func(*gin.Context) error
	for _, step := range steps {
		do = append(do, step.do)
		all = append(all, &part{step.about, b.job(slices.Clone(do))})
	}
	w := &walk{steps: []exchange{a.prepare(pathRead, session)}}
	all = append(all, &part{"ginsession: all of it, and all that a session is", &job{run: w.run, check: w.err}})
	var jobs []*job
	for _, p := range all {
		jobs = append(jobs, p.job)
	}
	return all, m.measureAlone(jobs)
}

// byHand reads a cookie of ginsession's size without ginsession. It serves one
// request at a time.
type byHand struct {
	cookie string
	name   []byte
	aead   cipher.AEAD
	box    []byte
	opened []byte
	kept   string
	ends   time.Time
}

func newByHand(session string) (*byHand, error) {
	name, value, _ := strings.Cut(session, "=")
	size := base64.RawURLEncoding.DecodedLen(len(value))
	key := make([]byte, chacha20poly1305.KeySize)
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	_, _ = rand.Read(key)
	_, _ = rand.Read(nonce)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	plaintext := bytes.Repeat([]byte("x"), size-len(nonce)-aead.Overhead())
	box := aead.Seal(nonce, nonce, plaintext, []byte(name))
	return &byHand{
		cookie: name + "=" + base64.RawURLEncoding.EncodeToString(box),
		name:   []byte(name), aead: aead, box: make([]byte, size), opened: make([]byte, 0, size), ends: time.Now().Add(time.Hour),
	}, nil
}

func (b *byHand) job(do []func(*gin.Context) error) *job {
	r := newEngine()
	r.GET(pathRead, route(func(c *gin.Context) error {
		for _, step := range do {
			if err := step(c); err != nil {
				return err
			}
		}
		return nil
	}))
	w := &walk{steps: []exchange{httpApp{r}.prepare(pathRead, b.cookie)}}
	return &job{run: w.run, check: w.err}
}

func (b *byHand) context(c *gin.Context) error {
	const key = "github.com/ginsession/ginsession/benchmarks"
	c.Set(key, new(ginsession.Session))
	if _, ok := c.Get(key); !ok {
		return errWrong
	}
	return nil
}

func (b *byHand) decode(c *gin.Context) error {
	_, value, _ := strings.Cut(c.Request.Header["Cookie"][0], "=")
	_, err := base64.RawURLEncoding.Decode(b.box, []byte(value))
	return err
}

func (b *byHand) open(*gin.Context) (err error) {
	nonce, sealed := b.box[:chacha20poly1305.NonceSizeX], b.box[chacha20poly1305.NonceSizeX:]
	b.opened, err = b.aead.Open(b.opened[:0], nonce, sealed, b.name)
	return err
}

func (b *byHand) finish(c *gin.Context) error {
	b.kept = string(b.opened)
	if time.Now().After(b.ends) {
		return errors.New("the benchmark has taken an hour")
	}
	c.Writer.Header()["Vary"] = []string{"Cookie"}
	return nil
}
