package storagetest

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy is an HTTP proxy in front of a Server. It spoils chosen requests, in ways that a proxy of
// bytes such as [Toxiproxy] cannot.
type Proxy struct {
	server  *httptest.Server
	closing chan struct{}

	mu       sync.Mutex
	upstream *url.URL
	rules    []Rule
	hits     int
}

// Rule spoils the next Times requests whose method is Method (any if empty) and whose URL contains
// Contains.
type Rule struct {
	Method, Contains string
	Times            int     // negative: for ever
	Share            float64 // of those requests, drawn at random; 0 means all
	Spoil            Spoil
	At               int           // of Truncate, Flip and FlipRequest: the byte of the body
	Status           int           // of Answer
	Wait             time.Duration // of Delay
}

// Spoil is what a Proxy does to a request.
type Spoil int

// The ways to spoil a request.
const (
	Answer      Spoil = iota // answers Status without forwarding the request
	Unanswer                 // forwards the request and cuts the connection instead of answering
	Truncate                 // cuts the body of the answer at byte At
	Flip                     // flips one bit of the answer's body, at byte At
	FlipRequest              // flips one bit of the request's body, at byte At
	Hang                     // never answers
	Delay                    // forwards after Wait
)

// newProxy starts a proxy. Forward must be called before its first request.
func newProxy(t testing.TB) *Proxy {
	p := &Proxy{closing: make(chan struct{})}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			p.mu.Lock()
			r.SetURL(p.upstream)
			p.mu.Unlock()
			r.Out.Host = r.In.Host // it is part of what S3 and Azure clients sign
		},
		ModifyResponse: spoilAnswer,
		FlushInterval:  -1,
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rule, spoiled := p.match(r)
		if !spoiled {
			forward.ServeHTTP(w, r)
			return
		}
		switch rule.Spoil {
		case Answer:
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(rule.Status)
			return
		case Hang:
			<-p.closing // not the request's context, which does not end before the request's body has been read
			return
		case Delay:
			time.Sleep(rule.Wait)
		case FlipRequest:
			r.Body = &flipping{r.Body, rule.At}
		}
		forward.ServeHTTP(w, r.WithContext(withRule(r.Context(), rule)))
	}))
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.Start()
	t.Cleanup(func() {
		close(p.closing)
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

// address returns host:port where the proxy listens.
func (p *Proxy) address() string { return p.server.Listener.Addr().String() }

// forward sets the server behind the proxy.
func (p *Proxy) forward(s *Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = &url.URL{Scheme: "http", Host: s.Address}
}

// Spoil replaces the rules. The first that matches a request applies.
func (p *Proxy) Spoil(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.hits = rules, 0
}

// Hits returns the number of requests spoiled since the last Spoil.
func (p *Proxy) Hits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits
}

func (p *Proxy) match(r *http.Request) (Rule, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	where, err := url.QueryUnescape(r.URL.String())
	if err != nil {
		where = r.URL.String()
	}
	for i := range p.rules {
		rule := &p.rules[i]
		if rule.Times != 0 && (rule.Method == "" || rule.Method == r.Method) &&
			strings.Contains(where, rule.Contains) && (rule.Share == 0 || rand.Float64() < rule.Share) {
			if rule.Times > 0 {
				rule.Times--
			}
			p.hits++
			return *rule, true
		}
	}
	return Rule{}, false
}

type ruleKey struct{}

func withRule(ctx context.Context, rule Rule) context.Context {
	return context.WithValue(ctx, ruleKey{}, rule)
}

// spoilAnswer carries out the rules that concern the answer. On http.ErrAbortHandler net/http cuts
// the client's connection.
func spoilAnswer(answer *http.Response) error {
	rule, spoiled := answer.Request.Context().Value(ruleKey{}).(Rule)
	if !spoiled {
		return nil
	}
	switch rule.Spoil {
	case Unanswer:
		io.Copy(io.Discard, answer.Body)
		panic(http.ErrAbortHandler)
	case Truncate:
		answer.Body = &truncated{answer.Body, rule.At}
	case Flip:
		answer.Body = &flipping{answer.Body, rule.At}
	}
	return nil
}

// truncated cuts the connection after left bytes.
type truncated struct {
	io.ReadCloser
	left int
}

func (t *truncated) Read(p []byte) (int, error) {
	if t.left <= 0 {
		panic(http.ErrAbortHandler)
	}
	n, err := t.ReadCloser.Read(p[:min(len(p), t.left)])
	t.left -= n
	return n, err
}

// flipping flips one bit of the byte at position at.
type flipping struct {
	io.ReadCloser
	at int
}

func (f *flipping) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if 0 <= f.at && f.at < n {
		p[f.at] ^= 1
	}
	f.at -= n
	return n, err
}
