package storage

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
)

// open opens the bucket of a checked URL.
func open(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	if u.Scheme != azureblob.Scheme {
		return blob.OpenBucket(ctx, u.String())
	}
	var mux blob.URLMux // knows prefix=
	mux.RegisterBucket(azureblob.Scheme, azure{})
	return mux.OpenBucketURL(ctx, u)
}

// azure opens containers at any domain that the URL or the environment names. The driver by itself
// allows four of Azure's domains, and plain HTTP only on this machine, because some programs take
// URLs from strangers. This program takes them from its owner, who may have a private endpoint, a
// national cloud or an emulator in another container.
type azure struct{}

// OpenBucketURL implements blob.BucketURLOpener. It removes the parameters that say where the
// service is and gives the driver the service's address.
func (azure) OpenBucketURL(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	o := azureblob.NewDefaultServiceURLOptions()
	home, _ := azureService(o)
	q := u.Query()
	if err := azureOverrides(o, q); err != nil {
		return nil, err
	}
	service, err := azureService(o)
	if err != nil {
		return nil, err
	}
	if o.SASToken != "" {
		if _, err := azureblob.NewServiceURL(o); err != nil && service != home {
			return nil, fmt.Errorf("a SAS token goes where AZURE_STORAGE_ACCOUNT, AZURE_STORAGE_DOMAIN and "+
				"AZURE_STORAGE_PROTOCOL say, not to %s: %w", service, err)
		}
		service += "?" + o.SASToken
	}
	rest := *u
	rest.RawQuery = q.Encode()
	opener := azureblob.URLOpener{
		ServiceURLOptions: azureblob.ServiceURLOptions{AccountName: o.AccountName},
		MakeClient: func(_ azureblob.ServiceURL, name azureblob.ContainerName) (*container.Client, error) {
			return azureblob.NewDefaultClient(azureblob.ServiceURL(service), name)
		},
	}
	return opener.OpenBucketURL(ctx, &rest)
}

// azureOverrides moves the parameters that say where a container is from a URL's query to the
// options.
func azureOverrides(o *azureblob.ServiceURLOptions, q url.Values) error {
	for name, to := range map[string]*string{
		"domain": &o.StorageDomain, "protocol": &o.Protocol, "storage_account": &o.AccountName,
	} {
		if q.Has(name) {
			*to = q.Get(name)
			q.Del(name)
		}
	}
	for name, to := range map[string]*bool{"cdn": &o.IsCDN, "localemu": &o.IsLocalEmulator} {
		if q.Has(name) {
			yes, err := strconv.ParseBool(q.Get(name))
			if err != nil {
				return fmt.Errorf("%s=%s: %w", name, q.Get(name), err)
			}
			*to = yes
			q.Del(name)
		}
	}
	return nil
}

// azureService is the URL of a service. An emulator has the account in the path; a service on this
// machine is always taken for one.
func azureService(o *azureblob.ServiceURLOptions) (string, error) {
	protocol := strings.ToLower(cmp.Or(o.Protocol, "https"))
	domain := strings.ToLower(cmp.Or(o.StorageDomain, "blob.core.windows.net"))
	switch {
	case !slices.Contains([]string{"http", "https"}, protocol):
		return "", fmt.Errorf("protocol=%s: must be http or https", protocol)
	case strings.HasPrefix(domain, "127.0.0.1"), strings.HasPrefix(domain, "localhost"), o.IsLocalEmulator:
		return protocol + "://" + domain + "/" + o.AccountName, nil
	case o.IsCDN:
		return protocol + "://" + domain, nil
	}
	return protocol + "://" + o.AccountName + "." + domain, nil
}
