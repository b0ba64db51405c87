package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"gocloud.dev/blob"
)

// Create stores data under key unless an object exists there. created reports whether data now
// stands under key, whoever stored it: of two writers of different data exactly one gets true. That
// is the fence between two attempts of one run.
//
// An error of a conditional write does not tell its outcome: after a lost answer, s3blob and
// azureblob report their own success as a failed condition, and gcsblob reports an unknown error.
// So after every error Create reads the object and compares.
func (b *Bucket) Create(ctx context.Context, key string, data []byte) (created bool, err error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	return retry(ctx, b.options, creating, key, func(a *attempt) (bool, error) {
		err := b.create(a, key, data)
		if err == nil {
			return true, nil
		}
		class := classify(a.withCause(err))
		if class == classPermanent || class == classUnsupported || class == classDenied {
			return false, err
		}
		// Reading uses attempts of its own, because this one may be out of time.
		there, rerr := b.GetTwice(ctx, key)
		switch {
		case rerr == nil:
			return bytes.Equal(there, data), nil
		case !errors.Is(rerr, ErrNotFound):
			return false, &finalError{rerr}
		case class == classExists:
			// It existed and is missing: somebody deletes such objects, or the store is not
			// consistent. Try again.
			return false, fmt.Errorf("the store says that the object exists and that it does not: %v", err)
		}
		return false, err
	})
}

func (b *Bucket) create(a *attempt, key string, data []byte) error {
	if b.options.dir != "" {
		return createFile(b.options.dir, key, data)
	}
	return b.blob.Upload(a.ctx, key, bytes.NewReader(data), &blob.WriterOptions{
		ContentType: contentType(key), IfNotExist: true,
	})
}
