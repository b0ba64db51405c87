// Package pack makes datasets for storage/shards: of images as people have them, or of WebDataset
// shards that another tool has made. It copies the bytes of images and decodes none; a caller may
// pass a function that does.
//
// # Files
//
//	pack.go             Pack: images of a Source in a seeded order, as shards and an index
//	pack_upload.go      shards that are stored already are not uploaded again
//	complete.go         are the splits that are asked for complete, before anything is uploaded
//	classes.go          which classes are packed, and in which order
//	tarshard.go         one shard as a tar file, its bytes a function of its samples
//	source.go           Source: a set of images; OpenSource recognises what a path holds
//	source_folder.go    folders of classes
//	source_tars.go      tar files of classes, or of tar files of classes
//	source_idx.go       the IDX files of the MNIST family
//	png.go              the PNG of an IDX image
//	source_parquet.go   parquet files with a column of images
//	parquet_columns.go  the columns of such a file
//	reindex.go          Reindex: an index for shards of another tool
//	shardlist.go        which shards there are, and of which split
//	tarscan.go          the samples of one such shard
package pack
