"""Tower, connector and decoder as one Idefics3 model, as transformers and vLLM know it."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    GenerationConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaForCausalLM,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from extraction.tower_reader import SIDE
from trainer.base_model import load_base
from trainer.default_model.sight import CARD, PARTS, WEIGHTS, Sight, read_sight
from trainer.default_model.vision.tower import FOLD, TILE, build_tower, tower_config
from trainer.vocabulary import NAME

IMAGE, AROUND, WHOLE = "<image>", "<fake_token_around_image>", "<global-img>"
TILE_TOKENS = SIDE**2
# The decoder's own chat format, for parts as well as for plain text. A page stands straight before
# the text, without a line feed: as TRL puts it in training and vLLM in serving.
_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful"
    " AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def image_tokens() -> tuple[str, ...]:
    """The tokens that frame an image."""
    return (IMAGE, AROUND, WHOLE, "<end_of_utterance>")


def load_seeing(
    seed: int, decoder: str = NAME
) -> tuple[Idefics3ForConditionalGeneration, Idefics3Processor]:
    """The decoder with an untrained tower and connector, in float32, and its processor.

    Args:
        seed: of the tower and the connector.
        decoder: as `trainer.base_model.load_base` takes it.
    """
    text, tokenizer = load_base(image_tokens(), decoder=decoder)
    config = Idefics3Config(
        text_config=text.config.to_dict(),
        vision_config=tower_config().to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        scale_factor=FOLD,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(config)
    model.model.text_model.load_state_dict(text.model.state_dict())
    model.model.vision_model.load_state_dict(build_tower(seed).state_dict())
    model.tie_weights()
    _fit_connector(model)
    model.generation_config = _ends_of(text, tokenizer)
    return model, processor_of(tokenizer)


def _fit_connector(model: Idefics3ForConditionalGeneration) -> None:
    """An untrained connector speaks as loudly as the decoder's own tokens.

    The tower's numbers have variance 1, so a token's are as large as the words' with this spread.
    """
    words = model.get_input_embeddings().weight
    weight = model.model.connector.modality_projection.proj.weight
    with torch.no_grad():
        weight.normal_(0.0, float(words.std()) / weight.shape[1] ** 0.5)


def _ends_of(decoder: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    known = decoder.generation_config
    end = getattr(known, "eos_token_id", None) or tokenizer.eos_token_id
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=end, pad_token_id=tokenizer.pad_token_id
    )


def processor_of(tokenizer: PreTrainedTokenizerBase) -> Idefics3Processor:
    """Makes a tile of a page and writes its tokens into a prompt.

    Changes the tokenizer's chat template to one that takes pages; of text it makes the same.
    """
    tokenizer.chat_template = _TEMPLATE
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": TILE}, max_image_size={"longest_edge": TILE}
    )
    return Idefics3Processor(images, tokenizer, image_seq_len=TILE_TOKENS, chat_template=_TEMPLATE)


def save_parts(model: Idefics3ForConditionalGeneration, folder: Path) -> Path:
    """Writes tower and connector in bfloat16; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name.startswith(PARTS)
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return folder / WEIGHTS


def load_parts(model: Idefics3ForConditionalGeneration, file: Path) -> None:
    """Gives a seeing model the tower and connector of a file.

    Raises:
        RuntimeError: a tensor of the two is missing, or has another shape.
    """
    tensors = {name: tensor.float() for name, tensor in load_file(file).items()}
    wanted = {name for name in model.state_dict() if name.startswith(PARTS)}
    if wanted != tensors.keys():
        raise RuntimeError(f"{file} has not the tensors of a tower and its connector")
    model.load_state_dict(tensors, strict=False)


def save_sight(model: Idefics3ForConditionalGeneration, sight: Sight, folder: Path) -> None:
    """Writes tower and connector, and how the model is asked."""
    save_parts(model, folder)
    (folder / CARD).write_text(json.dumps(sight.as_json(), indent=1) + "\n")


def load_sight(folder: Path) -> tuple[Idefics3ForConditionalGeneration, Idefics3Processor]:
    """The decoder with the tower of a folder, in float32, and its processor.

    Raises:
        RuntimeError: a tensor of the tower is missing, or has another shape.
    """
    model, processor = load_seeing(0, read_sight(folder).decoder)
    load_parts(model, folder / WEIGHTS)
    return model, processor


def connect(connector: Idefics3Connector, hidden: torch.Tensor) -> torch.Tensor:
    """The decoder's tokens of patches: [batch, patches, decoder's width]."""
    tokens: torch.Tensor = connector.modality_projection(hidden)
    return tokens
