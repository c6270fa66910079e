"""Parquet's data pages to Arrow's buffers: levels to validity bits, values to where their rows stand.

One call decodes a column chunk and holds no lock: pyarrow took 38 ns a row for the eight columns of a click map with
dwell, 11 of them for a column of names with nulls; these loops take 9. Every length in the bytes is checked; -1 is
the answer to what is damaged or not known here, and pyarrow then reads the chunk and says what is wrong with it.
``load32``, ``load64`` and ``copy_bytes`` are checked by nobody: an address comes from a position that is at most the
end of its bytes, behind which there are SLACK more, or is one of the bits or values before such an end.
Source: the Parquet format, https://parquet.apache.org/docs/file-format/data-pages/encodings/.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import copy_bytes, load32, load64, ones
from heatgrid.cpu.jit import brief, tight
from heatgrid.cpu.snappy import SLACK, unpack
from heatgrid.cpu.thrift import (
    DATA_2,
    DICTIONARY,
    ENCODING,
    KIND,
    LEVELS,
    PACKED,
    SIZE,
    START,
    STORED,
    VALUES,
    varint,
    zigzag,
)

PLAIN, PLAIN_DICTIONARY, DELTA, RLE_DICTIONARY = 0, 2, 5, 8
"""Encodings of values."""
SNAPPY = 1
WIDEST = 56
"""Bits of a packed number that one load of 8 bytes gives for every position in a byte."""


@tight
def _content(b: Any, page: Any, codec: Any, scratch: Any) -> Any:
    """The page's content (behind the levels of version 2) into scratch; its length, or -1 where it is not sound.

    Also what is not compressed is copied: one loop for each encoding then, and a copy is a tenth of a decoding.
    """
    levels = page[LEVELS]
    stored = page[STORED] - levels
    size = page[SIZE] - levels
    if levels < 0 or stored < 0 or size < 0 or size > scratch.shape[0] - SLACK:
        return np.int64(-1)
    at = page[START] + levels
    if codec == SNAPPY and page[PACKED] != 0 and stored > 0:
        return size if unpack(b, at, at + stored, scratch, size) else np.int64(-1)
    if stored != size:
        return np.int64(-1)
    copy_bytes(scratch, np.int64(0), b, at, size)
    return size


@tight
def _levels(b: Any, i: Any, end: Any, n: Any, bits: Any, row: Any) -> Any:
    """Levels of 0 or 1 into the validity bits (uint64 words, all 0 before) from row on. Returns how many are valid,
    or -1."""
    done = np.int64(0)
    valid = np.int64(0)
    while done < n:
        head, i = varint(b, i, end)
        if i < 0 or head < 2:
            return np.int64(-1)
        packed = head & 1
        size = head >> 1 if packed else np.int64(1)
        if size > end - i or (packed == 0 and b[i] > 1):
            return np.int64(-1)
        count = min((head >> 1) << 3 if packed else head >> 1, n - done)
        same = -np.int64(b[i])
        k = np.int64(0)
        while k < count:
            some = min(count - k, np.int64(64))
            word = load64(b, i + (k >> 3)) if packed else np.uint64(same)
            word &= ~np.uint64(0) >> np.uint64(64 - some)
            at = np.uint64(row + done + k)
            shift = at & np.uint64(63)
            bits[at >> np.uint64(6)] |= word << shift
            if shift + np.uint64(some) > np.uint64(64):
                bits[(at >> np.uint64(6)) + np.uint64(1)] |= word >> (np.uint64(64) - shift)
            valid += ones(word)
            k += some
        i += size
        done += count
    return valid


@tight
def _bits(b: Any, i: Any, width: Any, mask: Any, out: Any) -> Any:
    """Numbers of `width` bits, one after the other, into out. Returns the largest."""
    largest = np.int32(0)
    for k in range(out.shape[0]):
        bit = k * width
        value = np.int32((load64(b, i + (bit >> 3)) >> np.uint64(bit & 7)) & mask)
        out[k] = value
        largest = max(largest, value)
    return np.int64(largest)


@tight
def _packed(b: Any, i: Any, end: Any, n: Any, limit: Any, out: Any) -> Any:
    """n dictionary indices (a byte of width, then runs and packed groups) into out. False if one is >= limit.

    31 bits are enough for what int32 can count, and leave no sign bit to be set.
    """
    if i >= end:
        return n == 0
    width = np.int64(b[i])
    i += 1
    if width > 31:
        return False
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    done = np.int64(0)
    largest = np.int64(0)
    while done < n:
        head, i = varint(b, i, end)
        if i < 0 or head < 2:
            return False
        if head & 1:
            size = (head >> 1) * width
            if size > end - i or head >> 1 > n:
                return False
            count = min((head >> 1) * 8, n - done)
            largest = max(largest, _bits(b, i, width, mask, out[done : done + count]))
            i += size
        else:
            count = min(head >> 1, n - done)
            size = (width + 7) >> 3
            if size > end - i:
                return False
            # whole bytes: what is set in them above the width is damage, to be seen by the limit
            value = np.int64(load64(b, i) & ((np.uint64(1) << np.uint64(8 * size)) - np.uint64(1)))
            out[done : done + count] = value
            largest = max(largest, value)
            i += size
        done += count
    return n == 0 or largest < limit


@tight
def _fits(value: Any, out: Any) -> Any:
    """Is it a number that out can hold (4 or 8 bytes)."""
    return out.itemsize == 8 or np.int64(np.int32(value)) == value


@tight
def _delta(b: Any, i: Any, end: Any, n: Any, out: Any) -> Any:
    """n numbers as differences in blocks, modulo the width of out."""
    block, i = varint(b, i, end)
    if i < 0:
        return False
    parts, i = varint(b, i, end)
    if i < 0:
        return False
    count, i = varint(b, i, end)
    if i < 0:
        return False
    value, i = zigzag(b, i, end)
    if i < 0 or count != n or not _fits(value, out) or not (0 < parts <= 512 and 0 < block <= 1 << 20):
        return False
    if block % 128 or block % (parts * 32):
        return False
    wide = min(np.int64(8 * out.itemsize), np.int64(WIDEST))
    if n == 0:
        return True
    out[0] = value
    done = np.int64(1)
    each = block // parts
    while done < n:
        least, i = zigzag(b, i, end)
        if i < 0 or parts > end - i or not _fits(least, out):
            return False
        widths = i
        i += parts
        for p in range(parts):
            if done >= n:
                break
            width = np.int64(b[widths + p])
            if width > wide or (each * width) >> 3 > end - i:
                return False
            mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
            bit = np.int64(0)
            count = min(each, n - done)
            part = out[done : done + count]
            for k in range(count):
                value += least + np.int64((load64(b, i + (bit >> 3)) >> np.uint64(bit & 7)) & mask)
                part[k] = value
                bit += width
            i += (each * width) >> 3
            done += count
    return True


@tight
def _spread(dense: Any, n: Any, bits: Any, row: Any, out: Any) -> None:
    """The n values of the valid rows to their places; under a null stands the value after it, 0 behind the last.

    Nothing is chosen by the bit: LLVM makes a branch of a select with a load in it, and nulls come in no order
    (3.5 ns a row instead of 0.8).
    """
    dense[n] = 0
    j = np.uint64(0)
    at = np.uint64(row)
    for k in range(out.shape[0]):
        out[k] = dense[j]
        j += (bits[at >> np.uint64(6)] >> (at & np.uint64(63))) & np.uint64(1)
        at += np.uint64(1)


@tight
def _place(b: Any, page: Any, codec: Any, optional: Any, scratch: Any, bits: Any, row: Any, rows: Any) -> Any:
    """(valid rows or -1, first byte of the values in scratch, end) of a data page; sets the validity bits of its rows.

    Version 1 has its levels in the content behind their length, version 2 in front of it.
    """
    n = page[VALUES]
    stop = _content(b, page, codec, scratch)
    begin = np.int64(0)
    if stop < 0 or n > rows - row:
        return np.int64(-1), begin, stop
    valid = n
    if optional and page[KIND] == DATA_2:
        valid = _levels(b, page[START], page[START] + page[LEVELS], n, bits, row)
    elif optional:
        size = np.int64(np.uint32(load32(scratch, 0)))
        if size > stop - 4:
            return np.int64(-1), begin, stop
        begin = 4 + size
        valid = _levels(scratch, np.int64(4), begin, n, bits, row)
    return valid, begin, stop


@tight
def indices(
    b: Any, pages: Any, codec: Any, optional: Any, limit: Any, scratch: Any, dense: Any, bits: Any, out: Any
) -> Any:
    """Dictionary indices of all data pages of a chunk. limit: entries of the dictionary.

    scratch : bytes of the largest page and SLACK; dense, out : int32 of the chunk's rows (dense one more); bits : the
    validity, in words of 64, one more than the rows fill, all 0 before. Returns the number of valid rows, or -1.
    """
    row = np.int64(0)
    rows = out.shape[0]
    all_valid = np.int64(0)
    for p in range(pages.shape[0]):
        page = pages[p]
        if page[KIND] == DICTIONARY:
            continue
        valid, begin, stop = _place(b, page, codec, optional, scratch, bits, row, rows)
        if valid < 0:
            return np.int64(-1)
        n = page[VALUES]
        whole = valid == n
        target = out[row:] if whole else dense
        if not _packed(scratch, begin, stop, valid, limit, target):
            return np.int64(-1)
        if not whole:
            _spread(dense, valid, bits, row, out[row : row + n])
        row += n
        all_valid += valid
    return all_valid if row == rows else np.int64(-1)


@tight
def _plain(b: Any, begin: Any, stop: Any, n: Any, out: Any) -> Any:
    """n numbers of the width of out, one after the other."""
    wide = out.itemsize
    if n * wide > stop - begin:
        return False
    part = out[:n]
    for k in range(n):
        if wide == 8:
            part[k] = np.int64(load64(b, begin + 8 * k))
        else:
            part[k] = load32(b, begin + 4 * k)
    return True


@tight
def numbers(
    b: Any, pages: Any, codec: Any, optional: Any, dictionary: Any, scratch: Any, found: Any, dense: Any, bits: Any,
    out: Any,
) -> Any:  # fmt: skip
    """Numbers of 4 or 8 bytes (int32, int64: of floats the bits) of all data pages of a chunk.

    dictionary : as many as its page holds, filled here. found : int32 of the chunk's rows; dense : as out, one more.
    Returns the number of valid rows, or -1.
    """
    row = np.int64(0)
    rows = out.shape[0]
    all_valid = np.int64(0)
    for p in range(pages.shape[0]):
        page = pages[p]
        if page[KIND] == DICTIONARY:
            stop = _content(b, page, codec, scratch)
            if stop < 0 or not _plain(scratch, np.int64(0), stop, dictionary.shape[0], dictionary):
                return np.int64(-1)
            continue
        valid, begin, stop = _place(b, page, codec, optional, scratch, bits, row, rows)
        if valid < 0:
            return np.int64(-1)
        n = page[VALUES]
        whole = valid == n
        target = out[row:] if whole else dense
        coding = page[ENCODING]
        sound = False
        if coding == PLAIN:
            sound = _plain(scratch, begin, stop, valid, target)
        elif coding == DELTA:
            sound = _delta(scratch, begin, stop, valid, target)
        elif coding == RLE_DICTIONARY or coding == PLAIN_DICTIONARY:
            sound = _packed(scratch, begin, stop, valid, dictionary.shape[0], found)
            if sound:
                for k in range(valid):
                    target[k] = dictionary[np.uint32(found[k])]
        if not sound:
            return np.int64(-1)
        if not whole:
            _spread(dense, valid, bits, row, out[row : row + n])
        row += n
        all_valid += valid
    return all_valid if row == rows else np.int64(-1)


@brief
def words(b: Any, page: Any, codec: Any, scratch: Any, offsets: Any, data: Any) -> Any:
    """The texts of a dictionary page (4 bytes of length in front of each) as Arrow's offsets and bytes.

    offsets : int32 of one more than the page's values; data : at least the page's content. Returns the bytes of all
    texts, or -1.
    """
    end = _content(b, page, codec, scratch)
    n = page[VALUES]
    if end < 0 or n + 1 > offsets.shape[0]:
        return np.int64(-1)
    i = np.int64(0)
    total = np.int64(0)
    for k in range(n):
        offsets[k] = total
        if end - i < 4:
            return np.int64(-1)
        size = np.int64(np.uint32(load32(scratch, i)))
        i += 4
        if size > end - i or size > data.shape[0] - total:
            return np.int64(-1)
        copy_bytes(data, total, scratch, i, size)
        i += size
        total += size
    offsets[n] = total
    return total
