package storagetest

import (
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

// Proxy is an HTTP proxy in front of a Server that spoils chosen requests, in ways that a proxy of bytes cannot.
type Proxy struct {
	server  *httptest.Server
	closing chan struct{}

	mu       sync.Mutex
	upstream *url.URL
	rules    []Rule
	hits     int
}

// Rule spoils the next Times requests whose method is Method (any if empty) and whose URL contains Contains.
type Rule struct {
	Method, Contains string
	Times            int     // negative: for ever
	Share            float64 // of those requests, drawn at random; 0 means all
	Spoil            Spoil
	At               int // Truncate, Flip: the byte of the body from which on
	Status           int // Answer: the status
	Wait             time.Duration
}

// Spoil is what a Proxy does to a request.
type Spoil int

// The ways to spoil a request.
const (
	Answer      Spoil = iota // answers Status without asking the server
	Unanswer                 // forwards the request and cuts the connection instead of answering
	Truncate                 // cuts the body of the answer at byte At
	Flip                     // flips one bit of the answer's body, at byte At
	FlipRequest              // flips one bit of the request's body, at byte At
	Hang                     // never answers
	Delay                    // forwards after Wait
)

// NewProxy starts a proxy. It answers nothing before Forward.
func NewProxy(t testing.TB) *Proxy {
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
			<-p.closing // not the request's context: it does not end before the request's body has been read
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

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.server.Listener.Addr().String() }

// Forward sets the server behind the proxy.
func (p *Proxy) Forward(s *Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = &url.URL{Scheme: "http", Host: s.Address}
}

// Spoil replaces the rules; the first that matches a request counts.
func (p *Proxy) Spoil(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.hits = rules, 0
}

// Hits is the number of requests spoiled since Spoil.
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
		if rule.Times != 0 && (rule.Method == "" || rule.Method == r.Method) && strings.Contains(where, rule.Contains) && (rule.Share == 0 || rand.Float64() < rule.Share) {
			if rule.Times > 0 {
				rule.Times--
			}
			p.hits++
			return *rule, true
		}
	}
	return Rule{}, false
}
