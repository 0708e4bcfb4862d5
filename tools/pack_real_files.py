"""Packs lists and small files that others published into tests/data; ORIGINS.md there says whose.

    python tools/pack_real_files.py FOLDER

FOLDER has `sd_keys/` (arenasys/stable-diffusion-webui-model-toolkit, `components/`), `keymaps/`
(ostris/ai-toolkit, `toolkit/keymaps/`), `lora/lora_disney.safetensors` (cloneofsimo/lora) and
`embedding/invokeai_test_embedding.safetensors` (invoke-ai/InvokeAI). The same files give the same
bytes.
"""

import shutil
import sys
import zipfile
from pathlib import Path

DATA = Path(__file__).parents[1] / "tests" / "data"
LISTS = ("sd_keys", "keymaps")
COPIED = ("lora/lora_disney.safetensors", "embedding/invokeai_test_embedding.safetensors")


def main(folder: Path) -> None:
    """Writes tests/data/lists.zip, and copies the other files."""
    with zipfile.ZipFile(DATA / "lists.zip", "w", zipfile.ZIP_LZMA) as archive:
        for path in sorted(path for name in LISTS for path in (folder / name).iterdir()):
            member = zipfile.ZipInfo(f"{path.parent.name}/{path.name}")
            member.compress_type = zipfile.ZIP_LZMA
            archive.writestr(member, path.read_bytes())
    for name in COPIED:
        shutil.copyfile(folder / name, DATA / Path(name).name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
