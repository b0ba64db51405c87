package machine

import (
	"context"
	"errors"
	"fmt"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
)

// OpenBucket opens the bucket whose URL is the setting of a field. Its errors are those of
// BucketError.
func OpenBucket(ctx context.Context, field, url string, o storage.Options) (*storage.Bucket, error) {
	bucket, err := storage.Open(ctx, url, o)
	if err != nil {
		return nil, BucketError(ctx, field, err)
	}
	return bucket, nil
}

// BucketError is the error of storage.Open under the setting that names the bucket: as it is when
// the bucket is out of reach or denied or ctx has ended, else an *settings.Error.
func BucketError(ctx context.Context, field string, err error) error {
	if errors.Is(err, storage.ErrUnreachable) || errors.Is(err, storage.ErrDenied) || ctx.Err() != nil {
		return fmt.Errorf("%s: %w", settings.Variable(field), err)
	}
	return settings.NewError(field, "", err.Error())
}
