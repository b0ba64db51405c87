package storage_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage"
)

// Secrets in the URL of any driver, in any form and wherever the error comes from, are in no error
// and in no log line.
func TestNoErrorShowsASecret(t *testing.T) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true",
		"AZURE_STORAGE_ACCOUNT": "devstoreaccount1", "AZURE_STORAGE_KEY": "bm8ga2V5", "STORAGE_EMULATOR_HOST": "127.0.0.1:1"} {
		t.Setenv(name, value)
	}
	dir := t.TempDir()
	for _, url := range []string{
		"s3://bucket?region=x&access_key=hunter2", "s3://bucket?region=x&SessionToken=hun%74er2", "s3://hunter2:hunter2@bucket?region=x",
		"s3://bucket?region=x&use_path_style=true&endpoint=http://hunter2:hunter2@127.0.0.1:1",
		"s3://bucket?region=x&use_path_style=true&endpoint=http%3A%2F%2Fme%3Ahunter2@127.0.0.1%3A1",
		"s3://bucket?region=x&use_path_style=true&endpoint=http://127.0.0.1:1?token=hunter2",
		"s3://bucket?region=x&ssetype=hunter2:0&kmskeyid=hunter2", "s3://bucket?secret=hunter2%zz", "s3://bucket?secret=a#hunter2", "s3://hun ter2:hunter2@x",
		"gs://bucket?private_key_path=/no/hunter2", "gs://bucket?access_id=hunter2&credentials=hunter2", "gs://hunter2@bucket", "gs://bucket?anonymous=maybe&password=hunter2",
		"azblob://container?sig=hunter2", "azblob://container?protocol=http&domain=127.0.0.1:1&localemu=true&sas_token=hunter2", "azblob://hunter2:hunter2@container",
		"azblob://container?protocol=ftp&AccountKey=hunter2",
		"file://" + dir + "?secret_key_path=/no/hunter2&base_url=/x", "file://" + dir + "?nosuch=1&token=hunter2", "file://hunter2:hunter2@localhost" + dir,
		"file:///proc/no/dir?token=hunter2", "mem://?token=hunter2", "mem://hunter2@x", "nope://user:hunter2@b?token=hunter2", "bucket?token=hunter2", "user:hunter2@bucket",
		"://hunter2@x", "%zz://me:hunter2@x",
		"s3//hunter2:hunter2@host", "s3:hunter2:hunter2@bucket", "s3:/hunter2:hunter2@bucket", "file:hunter2:hunter2@x/y", "gs:/hunter2@bucket/a?token=hunter2",
		"./hunter2@x/../y?token=hunter2", "s3//hunter2:pass@host", "s3:/hunter2:pass@bucket", "file:hunter2:pass@x/y", "s3:hunter2:pass@bucket", "s3://bucket/hunter2:hunter2@x", "s3:///hunter2:hunter2@x",
	} {
		var log bytes.Buffer
		b, err := storage.Open(t.Context(), url, storage.Options{RetryTimeout: 600 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err == nil {
			_, err = b.Get(t.Context(), "a/key")
			b.Close()
		}
		if err == nil {
			t.Errorf("%s: no error", url)
			continue
		}
		if text := err.Error() + log.String(); strings.Contains(strings.ReplaceAll(text, "%74", "t"), "unter2") {
			t.Errorf("%s: a secret is in\n%v\n%s", url, err, &log)
		}
		if shown := storage.Redacted(url); strings.Contains(shown, "unter2") {
			t.Errorf("%s is shown as %s", url, shown)
		}
	}
	if got := storage.Redacted("s3://bucket?region=eu-west-1&endpoint=https://store:9000&sig=ab&prefix=a/"); got != "s3://bucket?region=eu-west-1&endpoint=https://store:9000&sig=redacted&prefix=a/" {
		t.Errorf("shown as %s", got)
	}
}
