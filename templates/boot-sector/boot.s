# A boot sector: the 512 bytes that a BIOS loads to 0x7c00 and jumps to. There is no BIOS here, so
# it writes to the screen's memory itself, and asks the keyboard's controller for keys.

        .equ SCREEN, 0xb800             # segment of 25 lines of 80 characters, each with its colour
        .equ SCREEN_BYTES, 25 * 80 * 2
        .equ LINE_BYTES, 80 * 2
        .equ WHITE_ON_BLUE, 0x1f
        .equ GREY, 0x07

        .equ KEYBOARD_DATA, 0x60
        .equ KEYBOARD_STATUS, 0x64      # bit 0: a key is waiting
        .equ ESCAPE, 0x01               # codes of keys (set 1); bit 7: the key is released
        .equ ENTER, 0x1c
        .equ SPACE, 0x39

        .equ POWER, 0x604               # ACPI: 0x2000 turns the machine off
        .equ POWER_OFF, 0x2000

start:  cld
        xor ax, ax
        mov ds, ax
        mov ax, SCREEN
        mov es, ax

        xor di, di
        mov ah, WHITE_ON_BLUE
        mov si, offset greeting
print:  lodsb
        test al, al
        jz typing
        stosw
        jmp print

typing: mov di, 2 * LINE_BYTES
key:    in al, KEYBOARD_STATUS
        test al, 1
        jz key
        in al, KEYBOARD_DATA
        cmp al, ESCAPE
        je off
        cmp al, ENTER
        je line
        cmp al, SPACE                   # above are other keys, and all that are released
        ja key
        mov bx, offset keys
        xlatb
        test al, al
        jz key
        mov ah, GREY
        stosw
bound:  cmp di, SCREEN_BYTES
        jb key
        jmp typing

line:   mov ax, di
        mov bl, LINE_BYTES
        div bl                          # AL: the line
        inc al
        mul bl
        mov di, ax
        jmp bound

off:    mov dx, POWER
        mov ax, POWER_OFF
        out dx, ax
        jmp off

greeting:
        .asciz " Hello from the boot sector. Type something; Esc turns the machine off. "

# What keys mean on a US keyboard, by their codes; 0 has no character.
keys:   .ascii "\0\0" "1234567890-=" "\0\0" "qwertyuiop[]" "\0\0"
        .ascii "asdfghjkl;'`" "\0" "\\zxcvbnm,./" "\0*\0 "

        .org 510
        .word 0xaa55                    # by this a BIOS knows a boot sector
