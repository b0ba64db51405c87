package storage

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// secrets are the parts of a bucket URL that no message may show: user, password, and the values of
// parameters that sound like a secret. Drivers and HTTP clients print URLs whole.
type secrets []secret

// secret is a text and what is shown in its place.
type secret struct{ text, shown string }

const hidden = "redacted"

// secretNames are parts of the names of parameters whose values are secret.
var secretNames = []string{"key", "sig", "token", "secret", "pass", "pwd", "cred", "auth", "sas", "access_id", "accessid"}

// minSecret is the length from which a secret is hidden wherever it stands. A shorter one is hidden
// where it stands behind its name: it is part of many words.
const minSecret = 4

// secretsOf finds the secrets in the text of a URL, whether or not it can be parsed.
func secretsOf(raw string) secrets {
	var s secrets
	_, rest, ok := strings.Cut(raw, "://")
	if !ok {
		rest = raw
	}
	authority, query, _ := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		s = append(s, secret{authority[:at+1], hidden + "@"})
		user, password, _ := strings.Cut(authority[:at], ":")
		s.add(user)
		s.add(user[strings.LastIndexByte(user, '/')+1:]) // of a URL with a mistyped ://
		s.add(password)
	}
	for _, part := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(part, "=")
		plain, err := url.QueryUnescape(value)
		if err != nil {
			plain = value
		}
		lower := strings.ToLower(name)
		if slices.ContainsFunc(secretNames, func(of string) bool { return strings.Contains(lower, of) }) {
			for _, form := range forms(value) {
				s = append(s, secret{name + "=" + form, name + "=" + hidden})
			}
			s.add(value)
			if _, behind, ok := strings.Cut(value, "#"); ok {
				s.add(behind)
			}
		} else if strings.Contains(plain, "@") || strings.Contains(plain, "?") { // such as an endpoint
			s = append(s, secretsOf(plain)...)
		}
	}
	slices.SortStableFunc(s, func(a, b secret) int { return cmp.Compare(len(b.text), len(a.text)) })
	return s
}

// add adds a secret in each form.
func (s *secrets) add(value string) {
	for _, form := range forms(value) {
		if len(form) >= minSecret {
			*s = append(*s, secret{form, hidden})
		}
	}
}

// forms are the ways in which a URL or a message may write a value: as it is, without its escapes,
// and with those of Go's package url.
func forms(value string) []string {
	all := []string{value}
	for _, unescape := range []func(string) (string, error){url.QueryUnescape, url.PathUnescape} {
		if plain, err := unescape(value); err == nil {
			all = append(all, plain, url.QueryEscape(plain), url.PathEscape(plain), url.User(plain).String())
		}
	}
	return all
}

// hide replaces every secret in a text.
func (s secrets) hide(text string) string {
	for _, of := range s {
		text = strings.ReplaceAll(text, of.text, of.shown)
	}
	return text
}

// scrub returns an error with the same chain whose text shows no secret.
func (s secrets) scrub(err error) error {
	if err == nil || len(s) == 0 || s.hide(err.Error()) == err.Error() {
		return err
	}
	return &scrubbedError{err, s}
}

type scrubbedError struct {
	err     error
	secrets secrets
}

func (e *scrubbedError) Error() string { return e.secrets.hide(e.err.Error()) }
func (e *scrubbedError) Unwrap() error { return e.err }

// Redacted is the URL of a bucket as it may be shown: without user, password and secret parameters.
func Redacted(bucket string) string { return secretsOf(bucket).hide(bucket) }
