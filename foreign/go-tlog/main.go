// Command go-tlog verifies an exported log of Assay with nothing of Assay's: the note and tlog packages of Go's
// checksum database check the signature, the root hash, the inclusion of every entry and the consistency proof.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

func main() {
	vkey := flag.String("vkey", "", "the log's public key")
	flag.Parse()
	if *vkey == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: go-tlog -vkey KEY DIRECTORY")
		os.Exit(2)
	}
	if err := verify(*vkey, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

func verify(vkey, dir string) error {
	tree, origin, err := checkpoint(vkey, filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	fmt.Println("signature:", origin)
	fmt.Println("size:", tree.N)
	hashes := tlog.TileHashReader(tree, &tiles{dir})
	if err := inclusion(tree, hashes, dir); err != nil {
		return err
	}
	fmt.Println("inclusion:", tree.N, "entries")
	return consistency(tree, hashes, dir)
}

// checkpoint opens the signed note and reads its three lines: origin, size, root hash.
func checkpoint(vkey, path string) (tlog.Tree, string, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, "", err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, "", err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, "", err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tlog.Tree{}, "", fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, "", err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, lines[0], err
}

// inclusion makes a proof for each entry from the tiles, and checks it against the signed root.
func inclusion(tree tlog.Tree, hashes tlog.HashReader, dir string) error {
	for first := int64(0); first < tree.N; first += 1 << tileHeight {
		width := min(tree.N-first, 1<<tileHeight)
		bundle, err := os.ReadFile(filepath.Join(dir, tilePath("entries", first>>tileHeight, width)))
		if err != nil {
			return err
		}
		for index := first; index < first+width; index++ {
			if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("bundle of entry %d is cut short", index)
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			leaf := tlog.RecordHash(bundle[2:end])
			bundle = bundle[end:]
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			if err != nil {
				return err
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
		}
		if len(bundle) != 0 {
			return fmt.Errorf("bundle at entry %d holds something else besides", first)
		}
	}
	return nil
}

// consistency checks each file consistency/<old>-<new>, with the old root recomputed from the tiles.
func consistency(tree tlog.Tree, hashes tlog.HashReader, dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "consistency", "*-*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		var old, size int64
		if _, err := fmt.Sscanf(filepath.Base(path), "%d-%d", &old, &size); err != nil || size != tree.N {
			return fmt.Errorf("%s is not a proof of this log", path)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var proof tlog.TreeProof
		for _, line := range bytes.Fields(data) {
			raw, err := base64.StdEncoding.DecodeString(string(line))
			if err != nil || len(raw) != tlog.HashSize {
				return fmt.Errorf("%s holds something that is no hash", path)
			}
			proof = append(proof, tlog.Hash(raw))
		}
		root, err := tlog.TreeHash(old, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old, root); err != nil {
			return err
		}
		fmt.Println("consistency:", old, "->", size)
	}
	return nil
}

// tiles reads tiles from a directory with the paths of C2SP tlog-tiles, which lack the height that tlog's have.
type tiles struct{ dir string }

func (t *tiles) Height() int { return tileHeight }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for i, tile := range wanted {
		path := tilePath(strconv.Itoa(tile.L), tile.N, int64(tile.W))
		data, err := os.ReadFile(filepath.Join(t.dir, path))
		if err != nil {
			return nil, err
		}
		found[i] = data
	}
	return found, nil
}

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func tilePath(kind string, index, width int64) string {
	name := fmt.Sprintf("%03d", index%1000)
	for index /= 1000; index > 0; index /= 1000 {
		name = fmt.Sprintf("x%03d/%s", index%1000, name)
	}
	if width < 1<<tileHeight {
		name += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + kind + "/" + name
}
