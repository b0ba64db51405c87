package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"gocloud.dev/blob"
)

// Create stores data under key unless something is there. created says that data stands under key, whoever stored it: of two writers of different
// data exactly one is told true, and that is the fence between two attempts of one run.
//
// An error of a conditional write says nothing about its outcome: after a lost answer, s3blob and azureblob report their own success as a failed
// condition and gcsblob reports an unknown error. So every error is settled by reading back.
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
		if class == classPermanent || class == classDenied {
			return false, err
		}
		// The attempt may have run out of time; the outcome is read with attempts of their own.
		there, rerr := b.GetTwice(ctx, key)
		switch {
		case rerr == nil:
			return bytes.Equal(there, data), nil
		case !errors.Is(rerr, ErrNotFound):
			return false, &finalError{rerr}
		case class == classExists:
			// It was there and is gone: somebody deletes what is created once, or the store answers from different moments. Ask again.
			return false, fmt.Errorf("the store says that the object exists and that it does not: %v", err)
		}
		return false, err
	})
}

func (b *Bucket) create(a *attempt, key string, data []byte) error {
	if b.options.dir != "" {
		return createFile(b.options.dir, key, data)
	}
	return b.blob.Upload(a.ctx, key, bytes.NewReader(data), &blob.WriterOptions{ContentType: contentType(key), IfNotExist: true})
}
