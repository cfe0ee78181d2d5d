package flask

import (
	"testing"
	"time"
)

const secret = "0123456789abcdef0123456789abcdef"

func TestVectors(t *testing.T) {
	s := NewSigner(secret)
	now := time.Unix(1700000000, 0)
	for _, v := range []struct{ json, cookie string }{
		{`{"_permanent":true,"name":"Zo\u00eb <&> \"q\"","user_id":42}`, "eyJfcGVybWFuZW50Ijp0cnVlLCJuYW1lIjoiWm9cdTAwZWIgPCY-IFwicVwiIiwidXNlcl9pZCI6NDJ9.ZVPxAA.QlOkDVZBVpSuxQpxuzkSTaYxr2s"},
		{`{"_flashes":[{" t":["message","Hello"]},{" t":["error",{" m":"<b>no</b>"}]}],"b":{" b":"AP8Q"},"di":{" di":{" t__":"x"}},"e":{},"f":1.5,"n":null,"t":{" t":[1,"two",{" t":[3]}]},"u":{" u":"12345678123456781234567812345678"},"when":{" d":"Thu, 29 Feb 2024 12:34:56 GMT"}}`, ".eJx1jksLgkAUhf_KcNZD5fjIBhHaVJugwF2IKI0ZjAo-MJD57101l23u4dzvHs4dkeQ6bQvVQj5GsI4EpWrb9KXAcVFa14gNX5FqmrrBZEtIBFlY1cE2C2FiE3NkkERo4njz7zAcz_e8-kmXJMQ-MEQUbUhySGvjclSQVa81R7dcUplFZqixdttUQYF-5jRhCdtxvb3_T6f-oVDV8gEFoqLnTBzYSWVM7ITDLCFtR7oeO18jeuoLm-pI9g.ZVPxAA.xv0XY3r18X3bL9VxS-14dLe4PIo"},
	} {
		text, signed, err := s.Open(v.cookie, now, time.Hour)
		if err != nil || string(text) != v.json || !signed.Equal(now) {
			t.Errorf("open: %s %v %v", text, signed, err)
		}
		p, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.Dump()
		if err != nil || string(out) != v.json {
			t.Errorf("dump: %s %v", out, err)
		}
		t.Log(s.Sign(out, now) == v.cookie)
	}
	p, err := Parse([]byte(`{"x":[NaN,-Infinity,Infinity,"NaN \" Infinity"],"b":123456789012345678901234567890}`))
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Dump()
	t.Log(string(out), err)
}
