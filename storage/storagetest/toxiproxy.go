package storagetest

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"testing"
)

// Toxiproxy is a proxy of bytes in front of a Server that plays a bad network.
type Toxiproxy struct {
	Address string // where clients connect

	t   testing.TB
	api string
}

// StartToxiproxy starts a Toxiproxy in front of a server, or skips the test if its binary is
// missing.
func StartToxiproxy(t testing.TB, upstream *Server) *Toxiproxy {
	t.Helper()
	api := freeAddress(t)
	host, port, _ := net.SplitHostPort(api)
	process, done := launch(t, api, binaryPath(t, "toxiproxy"), "-host", host, "-port", port)
	t.Cleanup(func() {
		process.Process.Kill()
		<-done
	})
	p := &Toxiproxy{Address: freeAddress(t), t: t, api: api}
	p.post("/proxies", map[string]any{"name": "store", "listen": p.Address, "upstream": upstream.Address})
	return p
}

// Add adds a toxic to the connections until Reset. kind is one of toxiproxy's toxics, stream
// "upstream" or "downstream", share the part of the connections that have it.
func (p *Toxiproxy) Add(kind, stream string, share float64, attributes map[string]any) {
	p.t.Helper()
	p.post("/proxies/store/toxics", map[string]any{
		"name": kind + "-" + stream, "type": kind, "stream": stream, "toxicity": share, "attributes": attributes,
	})
}

// Reset removes all toxics.
func (p *Toxiproxy) Reset() {
	p.t.Helper()
	p.post("/reset", nil)
}

func (p *Toxiproxy) post(path string, body any) {
	p.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := http.Post("http://"+p.api+path, "application/json", bytes.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		p.t.Fatalf("toxiproxy answers %s to %s %s", answer.Status, path, text)
	}
}
