#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes ../libvolt/lm/tokenizers: a small tokenizer.json of each family, trained on the text below
by the `tokenizers` library and put together as the family's own files are, and golden.json, what
that library makes of texts that went wrong somewhere (last run with 0.23.3).

usage: pip install tokenizers==0.23.3; tokenizer.py
"""
import json
import pathlib
import unicodedata

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent.parent / 'libvolt' / 'lm' / 'tokenizers'

PROSE = '''
A tokenizer cuts a text into words and the words into pieces that it knows. The pieces were found
by counting: whichever two neighbours stood together most often became one piece, and so on, until
there were as many pieces as somebody had asked for. We'll see that it isn't as simple as that.
I'm sure they've heard of it; he'd say that she's right, and you're wrong, don't you think?
WE'LL SEE THAT IT ISN'T. Numbers such as 1, 23, 456, 7890 and 1234567.89 are cut as well.

    def encode(text, ids):
        for word in split(text):    # four spaces, then eight
            if word == "":
                continue
            ids.append(vocabulary[word])
\t\treturn ids

Der Zerteiler zerlegt einen Text in Wörter und die Wörter in Stücke, die er kennt. Über größere
Flüsse führen schönere Brücken. Le découpeur découpe un texte en mots et les mots en morceaux;
ça ne va pas être très compliqué. El tokenizador corta un texto en palabras. ¿Qué? ¡Año nuevo!
Токенизатор делит текст на слова, а слова на части, которые он знает. Ο κόσμος είναι μεγάλος.
分词器把文本切成词，再把词切成它认识的片段。日本語の文章も同じように分けられます。ひらがなとカタカナ。
한국어 문장도 같은 방법으로 나눕니다. שלום עולם, מה שלומך? مرحبا بالعالم، كيف حالك؟ नमस्ते दुनिया।
Smile 🙂, family 👩‍👩‍👧‍👦, flag 🇩🇪, heart ❤️. Maths: ∑ x² ≤ ½, α → β, 3 × 4 = 12.
'''

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace('{1,3}', '')

# What is hard about each is plain from it.
TEXTS = [
    '', ' ', '  ', '\n', 'a', 'Hello, world!', ' leading', 'trailing ', '  two  spaces  ',
    'line\nline\r\nline\rline', 'tabs\t\tand\n\n\nnewlines \n \n x', 'a \u00a0b\u3000c\u2003\u2003d\u0085e',
    "I'm you're he'd we'll they've it's can't", "I'M YOU'RE HE'D WE'LL THEY'VE IT'S CAN'T",
    "'S 'ſ 'Re 'lL ''s 's's ' s 'x 'ſx", 'it’s isn’t ‘quoted’ ´t `s', "l'été d'or 'tis rock'n'roll",
    '0 12 345 6789 12345678 3.14159 1,000,000 x2y3 1st', '٠١٢٣ ۴۵۶ १२३ 𝟘𝟙𝟚 ½²③Ⅷ 〇一二 \U00011de1',
    'naïve café Ångström', unicodedata.normalize('NFD', 'naïve café Ångström ǖ ệ'),
    'a\u0315\u0300\u05ae\u0062 \u1e0a\u0323 \u0344 \u212b \u2126',
    'q\u0307\u0323 \u0307\u0323', '\u0301alone',
    '한국어 각', unicodedata.normalize('NFD', '한국어 각'), '\u1100\u1161\u11a7 \u1161 \u11a8 \uac00\u11a8\u11a8',
    '漢字と仮名、交じり。', 'カ\u3099 か\u3099 ぱ', '豈 更 \U0002f800', 'नमस्ते क्षि \u09c7\u09be \U00011131\U00011127',
    'שלום, עולם! שָׁלוֹם', 'مرحبا بالعالم، ١٢٣', '\u200fabc\u202edef\u2066',
    '👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️ 1️⃣ 🏴\U000e0067\U000e007f',
    '\u0000\u0001\u001f\u007f\u009f\u00ad\ufeff\ufffd\uffff\U0010ffff',
    'zero\u200bwidth\u200cjoin\u200ders', '▁', '▁▁a ▁ b', 'a▁b', ' ▁', '<0x41><0x0A>', '<s>a</s>b<unk>',
    'ſ ß ŉ ǆ ﬁ ﬆ', '!!!???...', '--->>>', '// comment\n', '    indented\n\tmore', 'x' * 300, ' ' * 70,
    'ab' * 200, '\n' * 9, '\U00010d40\u1c89\ua7da new',
    'https://example.org/a?b=c&d=%20#e', 'snake_case CamelCase kebab-case',
    '<r>\u2003x <r>  \u2003', 'user@example.org',
    '{"key": [1, 2.5e-3, null]}', '\\n \\t \\\\', '“quoted” «text» „so“', '…—–-',
]
# Each family also gets these, made of its own added tokens.
AROUND = ['{0}', 'a{0}b', 'a {0} b', '{0}{0}', '  {0}  ',
          'a\n{0}\nb', '{0}x{1}', 'é{0}e\u0301', '_{0}_', '{0}1', '{0}.']


def train(size, pre_tokenizer, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(PROSE.splitlines(keepends=True), trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()) if '<0x00>' not in special else []))
    return json.loads(tokenizer.to_str())['model']


def added(token_id, content, special=True, **options):
    return {'id': token_id, 'content': content, 'single_word': False, 'lstrip': False, 'rstrip': False,
            'normalized': False, 'special': special, **options}


def byte_level(**options):
    return {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, **options}


def split(regex):
    return {'type': 'Split', 'pattern': {'Regex': regex}, 'behavior': 'Isolated', 'invert': False}


def sequence(key, *parts):
    return {'type': 'Sequence', key: list(parts)}


def template(token, token_id):
    first, a = {'SpecialToken': {'id': token, 'type_id': 0}}, {'Sequence': {'id': 'A', 'type_id': 0}}
    second, b = {'SpecialToken': {'id': token, 'type_id': 1}}, {'Sequence': {'id': 'B', 'type_id': 1}}
    return {'type': 'TemplateProcessing', 'single': [first, a], 'pair': [first, a, second, b],
            'special_tokens': {token: {'id': token, 'ids': [token_id], 'tokens': [token]}}}


def behind(model, *contents):
    """Special tokens whose ids follow those of the model."""
    return [added(len(model['vocab']) + i, content) for i, content in enumerate(contents)]


def as_lines(model):
    model['merges'] = [' '.join(pair) for pair in model['merges']]
    return model


def gpt2():
    model = as_lines(train(700, pre_tokenizers.ByteLevel(add_prefix_space=False), []))
    model['vocab']['<|endoftext|>'] = len(model['vocab'])
    for key in ('type', 'byte_fallback', 'ignore_merges'):  # a file of 2019
        del model[key]
    model.update(continuing_subword_prefix='', end_of_word_suffix='')
    last = added(model['vocab']['<|endoftext|>'], '<|endoftext|>', normalized=True)
    byte = byte_level()
    return dict(added_tokens=[last], pre_tokenizer=byte, post_processor={**byte, 'trim_offsets': False},
                decoder=byte, model=model)


def llama3():
    pre = sequence('pretokenizers', split(LLAMA3), byte_level(use_regex=False))
    model = train(700, from_json(pre), [])
    model['ignore_merges'] = True
    # A word that its merges do not lead to.
    model['vocab']['Ġtokenizers'] = len(model['vocab'])
    tokens = behind(model, '<|begin_of_text|>', '<|end_of_text|>', '<|start_header_id|>',
                    '<|end_header_id|>', '<|eot_id|>')
    return dict(added_tokens=tokens, pre_tokenizer=pre, decoder=byte_level(use_regex=True), model=model,
                post_processor=sequence('processors', byte_level(use_regex=True),
                                        template(tokens[0]['content'], tokens[0]['id'])))


def qwen2():
    pre = sequence('pretokenizers', split(QWEN2), byte_level(use_regex=False))
    model = as_lines(train(700, from_json(pre), []))
    tokens = behind(model, '<|endoftext|>', '<|im_start|>', '<|im_end|>', '<think>', '</think>')
    for token in tokens[3:]:
        token['special'] = False
    byte = byte_level(use_regex=False)
    return dict(added_tokens=tokens, normalizer={'type': 'NFC'}, pre_tokenizer=pre, post_processor=byte,
                decoder=byte, model=model)


def smollm2():
    pre = sequence('pretokenizers', {'type': 'Digits', 'individual_digits': True}, byte_level(use_regex=True))
    special = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
    model = train(700, from_json(pre), special)
    return dict(added_tokens=[added(i, content) for i, content in enumerate(special)], pre_tokenizer=pre,
                decoder={**byte_level(use_regex=True), 'add_prefix_space': True}, model=model)


def sentencepiece_model():
    special = ['<unk>', '<s>', '</s>'] + [f'<0x{byte:02X}>' for byte in range(256)]
    model = train(900, pre_tokenizers.Metaspace(), special)
    model.update(unk_token='<unk>', fuse_unk=True, byte_fallback=True)
    return model


def spaces_back():
    return sequence('decoders', {'type': 'Replace', 'pattern': {'String': '▁'}, 'content': ' '},
                    {'type': 'ByteFallback'}, {'type': 'Fuse'},
                    {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0})


def llama2():
    normalizer = sequence('normalizers', {'type': 'Prepend', 'prepend': '▁'},
                          {'type': 'Replace', 'pattern': {'String': ' '}, 'content': '▁'})
    return dict(added_tokens=[added(i, content) for i, content in enumerate(['<unk>', '<s>', '</s>'])],
                normalizer=normalizer, post_processor=template('<s>', 1), decoder=spaces_back(),
                model=as_lines(sentencepiece_model()))


def mistral():
    model = sentencepiece_model()
    tokens = [added(i, content) for i, content in enumerate(['<unk>', '<s>', '</s>'])]
    tokens += behind(model, '[INST]', '[/INST]')
    pre = {'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'first', 'split': False}
    return dict(added_tokens=tokens, pre_tokenizer=pre, post_processor=template('<s>', 1),
                decoder=spaces_back(), model=model)


def options():
    """What no family above has: every flag of added tokens, unknown characters, words by "▁"."""
    model = sentencepiece_model()
    model['fuse_unk'] = False
    # Bytes without a token: of U+00A0 and much else; "é" is spelled by two that are left.
    for byte in [*range(0xa0, 0xa9), *range(0xe0, 0x100)]:
        model['vocab'].pop(f'<0x{byte:02X}>')
    order = {token: i for i, token in enumerate(sorted(model['vocab'], key=model['vocab'].get))}
    model['vocab'] = order
    flags = [('<l>', {'lstrip': True}), ('<r>', {'rstrip': True}), ('<lr>', {'lstrip': True, 'rstrip': True}),
             ('<w>', {'single_word': True}), ('word', {'single_word': True, 'special': False}),
             ('e\u0301', {'normalized': True}), ('Ω!', {'normalized': True, 'special': False}),
             ('  ', {'special': False}), ('<lrw>', {'lstrip': True, 'rstrip': True, 'single_word': True}),
             ('<l><l>', {}), (' ▁', {'normalized': True, 'special': False}), ('\u2003', {'lstrip': True})]
    tokens = [added(order['<unk>'], '<unk>')]
    tokens += [{**token, **flags[i][1]} for i, token in enumerate(behind(model, *(f[0] for f in flags)))]
    metaspace = {'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'always', 'split': True}
    return dict(added_tokens=tokens, normalizer={'type': 'NFC'},
                pre_tokenizer=sequence('pretokenizers', {'type': 'Digits', 'individual_digits': False}, metaspace),
                decoder=metaspace, model=model)


def prefix_space():
    """GPT-2's with a space before every part, and no decoder."""
    parts = gpt2()
    parts['pre_tokenizer'] = byte_level(add_prefix_space=True, use_regex=True)
    parts['added_tokens'][0].update(normalized=False, rstrip=True)
    parts['decoder'] = None
    return parts


def from_json(pre_tokenizer):
    tokenizer = json.loads(Tokenizer(models.BPE()).to_str())
    tokenizer['pre_tokenizer'] = pre_tokenizer
    return Tokenizer.from_str(json.dumps(tokenizer)).pre_tokenizer


def golden(reference, text):
    """What is left out is equal to what is named behind it."""
    reference.encode_special_tokens = False
    ids = reference.encode(text).ids
    plain = reference.encode(text, add_special_tokens=False).ids
    reference.encode_special_tokens = True
    literal = reference.encode(text, add_special_tokens=False).ids
    decoded = reference.decode(ids, skip_special_tokens=False)
    skipped = reference.decode(ids, skip_special_tokens=True)
    row = {'text': text, 'ids': ids}
    for key, value, default in (('plain', plain, ids), ('literal', literal, plain),
                                ('decoded', decoded, text), ('skipped', skipped, decoded)):
        if value != default:
            row[key] = value
    return row


def write(family):
    parts = family()
    document = {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': [],
                'normalizer': None, 'pre_tokenizer': None, 'post_processor': None, 'decoder': None,
                **parts}
    text = json.dumps(document, ensure_ascii=False, separators=(',', ':'))
    (HERE / f'{family.__name__}.json').write_text(text + '\n')


def rows(name):
    reference = Tokenizer.from_file(str(HERE / f'{name}.json'))
    added_tokens = json.loads((HERE / f'{name}.json').read_text())['added_tokens']
    tokens = [token['content'] for token in added_tokens]
    texts = list(TEXTS)
    for i, token in enumerate(tokens):
        texts += [around.format(token, tokens[i - 1]) for around in AROUND]
    return [json.dumps(golden(reference, text), separators=(',', ':')) for text in texts]


def main():
    families = (gpt2, llama3, qwen2, smollm2, llama2, mistral, options, prefix_space)
    for family in families:
        write(family)
    # bytes.json is volt's own: tokenizer_test.cpp sees to it.
    names = [family.__name__ for family in families] + ['bytes']
    blocks = [f'"{name}":[\n' + ',\n'.join(rows(name)) + '\n]' for name in names]
    (HERE / 'golden.json').write_text('{\n' + ',\n'.join(blocks) + '\n}\n')


main()
