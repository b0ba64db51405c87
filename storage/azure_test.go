package storage

import (
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// Containers are found at the domains that the URL and the environment name, at those that the
// driver takes and at others.
func TestAzureContainersAreFoundAtAnyDomain(t *testing.T) {
	key := map[string]string{"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_KEY": "a2V5"}
	sas := map[string]string{"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_SAS_TOKEN": "sig=abc"}
	and := func(m map[string]string, more ...string) map[string]string {
		all := map[string]string{more[0]: more[1]}
		for name, value := range m {
			all[name] = value
		}
		return all
	}
	for _, c := range []struct {
		environment map[string]string
		query, want string // want: the address, or a part of the error
	}{
		{key, "", "https://acme.blob.core.windows.net/shards"},
		{key, "?domain=blob.core.chinacloudapi.cn", "https://acme.blob.core.chinacloudapi.cn/shards"},
		{key, "?prefix=a/&storage_account=other", "https://other.blob.core.windows.net/shards"},
		{key, "?domain=privatelink.blob.core.windows.net", "https://acme.privatelink.blob.core.windows.net/shards"},
		{and(key, "AZURE_STORAGE_DOMAIN", "blob.stack.example"), "", "https://acme.blob.stack.example/shards"},
		{and(key, "AZURE_STORAGE_DOMAIN", "blob.stack.example"), "?domain=z12.blob.storage.azure.net",
			"https://acme.z12.blob.storage.azure.net/shards"},
		{key, "?domain=shards.example&cdn=true", "https://shards.example/shards"},
		{key, "?protocol=http&domain=127.0.0.1:10000&localemu=true", "http://127.0.0.1:10000/acme/shards"},
		{key, "?protocol=http&domain=127.0.0.1:10000", "http://127.0.0.1:10000/acme/shards"},
		{key, "?domain=localhost:10000", "https://localhost:10000/acme/shards"},
		{key, "?protocol=http&domain=azurite:10000&localemu=true", "http://azurite:10000/acme/shards"},
		{map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;AccountName=acme;AccountKey=a2V5;BlobEndpoint=http://azurite:10000/acme"}, "",
			"http://azurite:10000/acme/shards"},
		{sas, "", "https://acme.blob.core.windows.net/shards?sig=abc"},
		{sas, "?domain=blob.core.usgovcloudapi.net", "https://acme.blob.core.usgovcloudapi.net/shards?sig=abc"},
		{and(sas, "AZURE_STORAGE_DOMAIN", "blob.stack.example"), "", "https://acme.blob.stack.example/shards?sig=abc"},
		{and(sas, "AZURE_STORAGE_DOMAIN", "blob.stack.example"), "?domain=blob.stack.example",
			"https://acme.blob.stack.example/shards?sig=abc"},
		{sas, "?domain=blob.stack.example", "not to https://acme.blob.stack.example"},
		{sas, "?protocol=http", "not to http://acme.blob"},
		{key, "?protocol=ftp", "must be http or https"},
		{key, "?localemu=perhaps", "localemu=perhaps"},
		{key, "?domian=blob.stack.example", `unknown query parameter "domian"`},
		{key, "?storage_account=a/b", "non-alphanumeric"},
		{map[string]string{"AZURE_STORAGE_KEY": "a2V5"}, "", "AccountName is required"},
	} {
		t.Run(c.query, func(t *testing.T) {
			for _, name := range []string{"ACCOUNT", "KEY", "SAS_TOKEN", "DOMAIN", "PROTOCOL", "IS_CDN",
				"IS_LOCAL_EMULATOR", "CONNECTION_STRING"} {
				t.Setenv("AZURE_STORAGE_"+name, c.environment["AZURE_STORAGE_"+name])
			}
			u, err := url.Parse("azblob://shards" + c.query)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			b, err := open(t.Context(), u)
			if err != nil {
				if got = err.Error(); strings.Contains(got, c.want) {
					return
				}
			} else {
				defer b.Close()
				var client *container.Client
				if b.As(&client); client != nil {
					got = client.URL()
				}
			}
			if got != c.want {
				t.Errorf("%s with %v: got %s, want %s", u, c.environment, got, c.want)
			}
		})
	}
}
