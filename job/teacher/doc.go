// Package teacher hands encoders on. It finds one in a bucket (the teacher of a finished run,
// either network of a checkpoint that is kept, any file) and writes what timm and the Hugging Face
// hub want beside it. It computes nothing with an encoder.
//
//	teacher.go  Open: an encoder by its name
//	timm.go     config.json: timm's architecture and preprocessing
//	card.go     README.md: the model card, from card.md.tmpl
//	export.go   a folder with all three, ready for the hub
package teacher
