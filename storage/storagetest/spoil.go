package storagetest

import (
	"context"
	"io"
	"net/http"
)

type ruleKey struct{}

func withRule(ctx context.Context, rule Rule) context.Context {
	return context.WithValue(ctx, ruleKey{}, rule)
}

// spoilAnswer carries out the rules that concern the answer. net/http cuts the client's connection on http.ErrAbortHandler.
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

// flipping flips one bit of the byte at.
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
